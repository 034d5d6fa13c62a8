"""The harness lists, judges and measures; the peers are not installed for this."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_names_are_listed_with_their_goals() -> None:
    listed = python("-m", "benchmarks", "--list")

    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    assert {"attribution", "shapley"} <= {line for line in lines if not line.startswith(" ")}
    assert any("attribution.markov_1" in line and "ratio >= 50" in line for line in lines)


def test_an_unknown_name_is_an_error_that_names_the_known() -> None:
    answer = python("-m", "benchmarks", "nonsense")

    assert answer.returncode == 2
    assert "attribution" in answer.stderr


MEASURE = """
from benchmarks.harness import Comparison, Figure, Goal, compare
met = Figure("t.met", "a list of a million numbers; CPU s", Goal("ratio", ">=", 0.001))
missed = Figure("t.missed", "the same", Goal("ours", "<=", 0))
made = []
both = [Comparison(f, lambda: made.append(1) or 1_000_000, lambda n: list(range(n)), ("x",)) for f in (met, missed)]
for result in compare(both, {"x": lambda: 1.0}, 5):
    print(result.to_json())
print(len(made))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_result_has_all_its_fields_and_is_judged_by_its_goal() -> None:
    answer = python("-c", MEASURE)

    assert answer.returncode == 0, answer.stderr
    *lines, prepared = answer.stdout.splitlines()
    met, missed = map(json.loads, lines)
    assert list(met) == ["name", "what", "ours", "baseline", "ratio", "goal", "met", "peak_mb", "load"]
    assert (met["name"], met["baseline"], met["goal"], met["met"]) == ("t.met", 1.0, "ratio >= 0.001", True)
    assert met["ratio"] == pytest.approx(1 / met["ours"], rel=1e-3)
    assert missed["met"] is False
    assert 20 < met["peak_mb"] < 200, "a million numbers and their list take about 40 MiB"
    assert int(prepared) == 2 * (1 + 5 * 3)
