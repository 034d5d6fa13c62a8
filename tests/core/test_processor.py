"""The processor that NumPy is told about, and those that it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.processor import SLOW, spare_slow_sorts

ZEN4 = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nflags\t\t: fpu avx2 avx512f avx512_vbmi2\n\n"
OTHERS = {
    "Intel": ZEN4.replace("AuthenticAMD", "GenuineIntel"),
    "Zen 5": ZEN4.replace(": 25", ": 26"),
    "Zen 3": ZEN4.replace(" avx512f avx512_vbmi2", ""),
    "nothing": "",
    "noise": "\x00\xff : : \n::\n",
}


def told(text: str | None, folder: Path, **environment: str) -> dict[str, str]:
    file = folder / "cpuinfo"
    if text is not None:
        file.write_text(text, "utf-8")
    spare_slow_sorts(file, environment)
    return environment


def test_zen4_does_without_its_slow_instruction(tmp_path: Path) -> None:
    assert told(ZEN4, tmp_path) == {"NPY_DISABLE_CPU_FEATURES": SLOW}


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_left_alone(tmp_path: Path, name: str) -> None:
    assert told(OTHERS[name], tmp_path) == {}
    assert told(None, tmp_path / "nowhere") == {}


@pytest.mark.parametrize("switch", ["NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"])
def test_whoever_decided_already_is_obeyed(tmp_path: Path, switch: str) -> None:
    assert told(ZEN4, tmp_path, **{switch: ""}) == {switch: ""}


def test_the_program_tells_before_numpy_is_imported() -> None:
    asked = "import sys, fairlead.__main__; assert 'numpy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "fairlead", "--version"], capture_output=True, check=False
    )
    assert ran.stdout.startswith(b"fairlead "), ran.stderr
