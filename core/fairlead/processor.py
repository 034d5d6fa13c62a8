"""What a processor is bad at, told to NumPy before it is imported.

AMD's Zen 4 (family 25) has AVX-512, but its instruction for storing selected elements is microcode. NumPy's sort lives
on that instruction: four million 64-bit keys take 0.25 s with it and 0.05 s with AVX2 (NumPy 2.4.6, EPYC 9004).
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import MutableMapping
from pathlib import Path

SWITCHES = ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")
SLOW = "X86_V4 AVX512_ICL"
NAMED_SO_SINCE = (2, 4)
NEEDED = frozenset({"avx512f", "avx512_vbmi2"})


def spare_slow_sorts(
    cpuinfo: Path = Path("/proc/cpuinfo"), environment: MutableMapping[str, str] | None = None
) -> None:
    """Let NumPy, which must not have been imported yet, do without AVX-512 on Zen 4.

    For programs, not for libraries: it changes the environment (``environment``, by default that of the process). Does
    nothing where somebody has set NumPy's switches already.
    """
    environment = os.environ if environment is None else environment
    if any(switch in environment for switch in SWITCHES) or not is_zen4(cpuinfo):
        return
    version = tuple(int(part) for part in importlib.metadata.version("numpy").split(".")[:2])
    if version >= NAMED_SO_SINCE:
        environment[SWITCHES[0]] = SLOW


def is_zen4(cpuinfo: Path) -> bool:
    """Whether Linux describes the first processor as a Zen 4 with AVX-512; false where it describes nothing."""
    try:
        first = cpuinfo.read_text("ascii", "replace").split("\n\n", 1)[0]
    except OSError:
        return False
    lines = (line.partition(":") for line in first.splitlines())
    told = {name.strip(): value.strip() for name, _, value in lines}
    family = (told.get("vendor_id"), told.get("cpu family"))
    return family == ("AuthenticAMD", "25") and set(told.get("flags", "").split()) >= NEEDED
