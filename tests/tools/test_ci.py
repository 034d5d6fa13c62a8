"""The script that decides about a commit: a stage that breaks or hangs fails the run, and pytest's line comes last."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci" / "run"
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash")


def part(begin: str, end: str) -> str:
    text = SCRIPT.read_text(encoding="utf-8")
    return text[text.index(begin) : text.index(end)]


def bash(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    assert BASH is not None
    return subprocess.run([BASH, "-c", script], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_script_parses_and_may_be_executed() -> None:
    assert BASH is not None
    assert subprocess.run([BASH, "-n", str(SCRIPT)], check=False).returncode == 0
    assert SCRIPT.stat().st_mode & 0o111


def test_stages_are_judged_one_by_one(tmp_path: Path) -> None:
    functions = "good() { echo fine; }\nbroken() { false; echo went on; }\nhangs() { sleep 300; echo went on; }\n"
    functions += "piped() { false | cat; echo went on; }\n"
    calls = "".join(f"stage {name} {limit} {name}\n" for name, limit in (("good", 50), ("broken", 50), ("piped", 50)))
    answer = bash(
        'set -euo pipefail\nFAILED=() TIMES=() JOB="" WATCHER=""\nsay() { :; }\n'
        + part("stage() {", "clean_up() {")
        + functions
        + calls
        + 'stage hangs 1 hangs\nprintf "%s\\n" "${FAILED[@]}"\n[ "${#FAILED[@]}" -eq 0 ]\n',
        tmp_path,
    )
    assert answer.returncode == 1
    assert "went on" not in answer.stdout
    assert answer.stdout.splitlines() == ["fine", "hangs took longer than 1 s", "broken", "piped", "hangs"]


@pytest.mark.parametrize(
    "line",
    [
        "======================= 195 passed in 146.04s (0:02:26) ========================",
        "= 2 failed, 193 passed, 4 skipped, 1 deselected, 1 warning in 12.00s =",
        "1 passed in 0.12s",
        "==== 3 errors in 0.50s ====",
        "=== no tests ran in 0.01s ===",
    ],
)
def test_the_last_line_is_pytests_own(tmp_path: Path, line: str) -> None:
    noise = "tests/x.py::test_that passed data in a row\nFAILED tests/y.py - it failed in 3 ways\n"
    (tmp_path / "tests.log").write_text(f"{noise}{line}\n{noise}", encoding="utf-8")
    answer = bash("WORK=.\n" + part("grep -aE", '\n[ "${#FAILED[@]}" -eq 0 ]'), tmp_path)
    assert answer.stdout == f"{line}\n"


def test_codegen_pins_what_the_check_needs_and_no_address() -> None:
    package = json.loads((ROOT / "tools" / "codegen" / "package.json").read_text(encoding="utf-8"))
    assert package["private"] is True
    assert {"@graphql-codegen/cli", "@graphql-codegen/client-preset", "typescript"} <= package["devDependencies"].keys()
    assert all(re.fullmatch(r"[\^~]?\d+\.\d+\.\d+", version) for version in package["devDependencies"].values())
    ignored = (ROOT / "tools" / "codegen" / ".gitignore").read_text(encoding="utf-8").split()
    assert "package-lock.json" in ignored  # npm writes the registry's address into it for every package
