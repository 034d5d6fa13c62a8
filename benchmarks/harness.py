"""What all benchmarks share: goals, fair timing, peak memory, and peers in an environment of their own.

Times are CPU seconds of one thread, because other work on the machine moves them far less than wall time. Ours and the
peer's runs take turns, so that whatever disturbs one disturbs the other, and the medians are compared.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

CACHE = Path(__file__).parents[1] / ".fairlead" / "bench"

OURS_PER_ROUND = 3


@dataclass(frozen=True)
class Goal:
    """A bound on one number of a result: ``ratio`` (baseline / ours), ``ours`` or ``peak_mb``."""

    of: Literal["ratio", "ours", "peak_mb"]
    sign: Literal[">=", "<="]
    bound: float

    def __str__(self) -> str:
        return f"{self.of} {self.sign} {self.bound:g}"

    def met_by(self, number: float) -> bool:
        """Say whether ``number`` keeps the bound."""
        return number >= self.bound if self.sign == ">=" else number <= self.bound


@dataclass(frozen=True)
class Figure:
    """One number that a benchmark gives: its name, what is measured in which unit, and the goal."""

    name: str
    what: str
    goal: Goal


@dataclass(frozen=True)
class Result:
    """One line of output. ``peak_mb`` is the extra memory of our run in MiB, ``load`` the load average of a minute."""

    name: str
    what: str
    ours: float
    baseline: float
    ratio: float
    goal: str
    met: bool
    peak_mb: float
    load: float

    @classmethod
    def of(cls, figure: Figure, ours: float, baseline: float, peak_mb: float) -> Result:
        """Judge the two numbers by the figure's goal."""
        ratio = baseline / ours if ours else float("inf")
        numbers = {"ratio": ratio, "ours": ours, "peak_mb": peak_mb}
        met = figure.goal.met_by(numbers[figure.goal.of])
        load = os.getloadavg()[0]
        return cls(figure.name, figure.what, ours, baseline, ratio, str(figure.goal), met, peak_mb, load)

    def to_json(self) -> str:
        """Return one JSON object, numbers to five digits."""
        fields = {
            key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in asdict(self).items()
        }
        return json.dumps(fields, ensure_ascii=False)


@dataclass(frozen=True)
class Comparison:
    """Our side of a figure: ``run(prepare())`` is measured, ``prepare`` is not; ``baseline`` names what it meets.

    Several baselines are added up.
    """

    figure: Figure
    prepare: Callable[[], Any]
    run: Callable[[Any], object]
    baseline: tuple[str, ...]


def compare(
    comparisons: Sequence[Comparison], baselines: Mapping[str, Callable[[], float]], rounds: int
) -> Iterator[Result]:
    """Measure everything ``rounds`` times in turns, after one round to warm up in which memory is measured.

    A baseline is a function that runs the peer once and returns its CPU seconds.
    """
    peaks = {each.figure.name: peak_mb(each.run, each.prepare()) for each in comparisons}
    ours: dict[str, list[float]] = {each.figure.name: [] for each in comparisons}
    theirs: dict[str, list[float]] = {name: [] for name in baselines}
    for _ in range(rounds):
        for name, baseline in baselines.items():
            theirs[name].append(baseline())
            for each in comparisons:
                if each.baseline[0] == name:
                    ours[each.figure.name] += [cpu_seconds(each.run, each.prepare()) for _ in range(OURS_PER_ROUND)]
    for each in comparisons:
        name = each.figure.name
        baseline_seconds = sum(statistics.median(theirs[part]) for part in each.baseline)
        yield Result.of(each.figure, statistics.median(ours[name]), baseline_seconds, peaks[name])


def cpu_seconds(run: Callable[[Any], object], argument: Any) -> float:
    """Run once; return the CPU seconds of this process, all its threads included."""
    gc.collect()
    began = time.process_time()
    run(argument)
    return time.process_time() - began


def peak_mb(run: Callable[[Any], object], argument: Any) -> float:
    """Run once; return by how many MiB the resident memory rose above where it was.

    Linux keeps the highest mark and lets a process reset it; elsewhere the answer is not a number.
    """
    gc.collect()
    # Memory that was freed but not given back would hide what the run takes.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
        run(argument)
        return max(_resident("VmHWM") - before, 0) / 1024
    except OSError:
        return float("nan")


def _resident(mark: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(mark))


def environment(name: str, requirements: Sequence[str]) -> Path:
    """Return the Python of a virtual environment that holds ``requirements``; it is made once and kept.

    Peers live there and not in the project's environment, so that nothing of theirs is ever a dependency.
    """
    home = CACHE / name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = home / "installed.txt"
    wanted = "\n".join(requirements)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making {home} with {', '.join(requirements)}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True, stdout=sys.stderr)
        stamp.write_text(wanted)
    return python


class Peer:
    """A script that runs in another environment and answers one line of JSON per line of JSON."""

    def __init__(self, python: Path, script: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [python, script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=60)

    def ask(self, **question: object) -> dict[str, Any]:
        """Send one question and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with {self._process.wait()}; its messages are above")
        answer: dict[str, Any] = json.loads(line)
        return answer
