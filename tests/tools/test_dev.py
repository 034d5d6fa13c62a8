"""``dev.py``: the words, the stamp, the choice of installer, and that stdout belongs to the command."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["demo", "serve", "worker", "test", "check", "bench", "schema", "docs"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with nothing but what ``dev.py`` reads."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("dev.py", "Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def dev(project: Path) -> ModuleType:
    """``dev.py`` of that folder as a module."""
    spec = importlib.util.spec_from_file_location("dev_under_test", project / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Steps(NamedTuple):
    """What the environment's maker was asked to do."""

    made: list[bool]
    installed: list[str | None]


@pytest.fixture
def steps(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """``dev.py`` with a maker and an installer that only take notes."""
    notes = Steps([], [])

    def make(with_pip: bool) -> None:
        notes.made.append(with_pip)
        dev.PYTHON.parent.mkdir(parents=True, exist_ok=True)
        dev.PYTHON.touch()

    monkeypatch.setattr(dev, "make_environment", make)
    monkeypatch.setattr(dev, "install", notes.installed.append)
    monkeypatch.setattr(dev, "environment_runs", dev.PYTHON.exists)
    return notes


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def call(project: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, "dev.py", *arguments], {**os.environ, **extra}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"]])
def test_help_lists_every_word_without_making_an_environment(project: Path, arguments: list[str]) -> None:
    answer = call(project, *arguments)
    assert answer.returncode == 0
    assert re.findall(r"^  (\w+)  +\w", answer.stdout, re.MULTILINE) == WORDS
    assert answer.stderr == ""
    assert not (project / ".venv").exists()


def test_unknown_word_ends_with_2_and_says_which_there_are(project: Path) -> None:
    answer = call(project, "dmeo")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "no word 'dmeo'" in answer.stderr
    assert all(word in answer.stderr for word in WORDS)


def test_make_knows_the_same_words(project: Path, dev: ModuleType) -> None:
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    named = re.search(r"^WORDS := (.*)$", makefile, re.MULTILINE)
    assert named is not None
    assert named.group(1).split() == list(dev.WORDS) == WORDS
    if shutil.which("make"):
        shown = subprocess.run(["make", "-s", "help"], cwd=project, capture_output=True, text=True, check=True)
        assert shown.stdout == call(project).stdout


def test_old_python_is_told_what_to_do(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", "")
    assert dev.main(["test"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Python 3.11 or newer is needed" in shown.err
    assert not dev.VENV.exists()


def test_old_python_hands_over_to_a_newer_one_on_path(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    note = f'echo "$@" > "{tmp_path}/asked"'
    executable(tmp_path / "bin" / "python3.13", f"#!/bin/sh\n{note}\nexit 7\n")
    newer = executable(tmp_path / "bin" / "python3.12", f'#!/bin/sh\n[ "$1" = -c ] && exit 0\n{note}\nexit 5\n')
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    monkeypatch.setenv("PATH", str(newer.parent))
    with pytest.raises(SystemExit) as ended:
        dev.main(["test", "-k", "x"])
    assert ended.value.code == 5  # 3.13 does not run at all there, so 3.12 was asked
    assert (tmp_path / "asked").read_text().split() == [str(dev.ROOT / "dev.py"), "test", "-k", "x"]


def test_second_call_does_nothing(dev: ModuleType, steps: Steps) -> None:
    dev.ensure_environment()
    assert (len(steps.made), len(steps.installed)) == (1, 1)
    dev.ensure_environment()
    assert (len(steps.made), len(steps.installed)) == (1, 1)


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed_into_the_same_environment(dev: ModuleType, steps: Steps, name: str) -> None:
    dev.ensure_environment()
    with (dev.ROOT / name).open("a", encoding="utf-8") as handle:
        handle.write("\n# changed\n")
    dev.ensure_environment()
    assert (len(steps.made), len(steps.installed)) == (1, 2)


def test_another_python_or_place_makes_a_new_environment(dev: ModuleType, steps: Steps) -> None:
    dev.ensure_environment()
    for part, made in (("python", 1), ("root", 2)):  # with the same Python the folder is kept, with another place never
        stamp = json.loads(dev.STAMP.read_text(encoding="utf-8"))
        dev.STAMP.write_text(json.dumps({**stamp, part: "elsewhere"}), encoding="utf-8")
        dev.ensure_environment()
        assert len(steps.made) == made
    assert len(steps.installed) == 3


def test_environment_of_another_python_does_not_count_as_running(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not dev.environment_runs()
    dev.venv.create(dev.VENV, with_pip=False)
    assert dev.environment_runs()
    monkeypatch.setattr(sys, "version", "3.99.0 (other)")
    assert not dev.environment_runs()


def test_failed_installation_leaves_no_stamp(
    dev: ModuleType, steps: Steps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dev.ensure_environment()
    (dev.ROOT / "constraints.txt").write_text("", encoding="utf-8")

    def fail(uv: str | None) -> None:
        raise dev.SetupError("no network")

    monkeypatch.setattr(dev, "install", fail)
    assert dev.main(["demo"]) == 1
    assert "no network" in capsys.readouterr().err
    assert dev.read_stamp() == {}


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_unreadable_stamp_is_no_stamp(dev: ModuleType, text: str) -> None:
    assert dev.read_stamp() == {}
    dev.STAMP.parent.mkdir()
    dev.STAMP.write_text(text, encoding="utf-8")
    assert dev.read_stamp() == {}


@pytest.mark.parametrize(
    ("uv", "inside", "outside", "expected"),
    [
        ("/bin/uv", True, True, ["/bin/uv", "INSIDE"]),
        (None, True, True, ["INSIDE"]),
        (None, False, True, ["OUTSIDE"]),
        ("/bin/uv", False, False, ["/bin/uv"]),
        (None, False, False, []),
    ],
)
def test_installers_in_order_of_preference(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, uv: str | None, inside: bool, outside: bool, expected: list[str]
) -> None:
    monkeypatch.setattr(dev, "has_pip", lambda python: inside if python == dev.PYTHON else outside)
    commands = list(dev.installers(uv))
    names = {str(dev.PYTHON): "INSIDE", sys.executable: "OUTSIDE"}
    assert [names.get(command[0], command[0]) for command in commands] == expected
    assert all(str(dev.PYTHON) in command for command in commands)


def test_without_any_installer_the_message_names_the_packages(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "has_pip", lambda python: False)
    with pytest.raises(dev.SetupError, match="python3-venv"):
        dev.install(None)


def test_pip_takes_over_when_uv_fails(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uv = executable(tmp_path / "uv", "#!/bin/sh\nexit 2\n")
    executable(dev.PYTHON, f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\n')
    dev.install(str(uv))
    asked = (tmp_path / "asked").read_text().splitlines()[-1]
    assert asked.startswith("-m pip install")
    assert asked.endswith(f"-c {dev.ROOT}/constraints.txt -e {dev.ROOT}[dev]")


def test_stdout_is_the_commands_own_even_on_the_first_call(project: Path, tmp_path: Path) -> None:
    script = project / ".venv" / "bin" / "fairlead"
    answer = '#!/bin/sh\nprintf \'{"asked": "%s"}\' "$*"\nexit 3\n'
    executable(
        tmp_path / "bin" / "uv",
        f"#!/bin/sh\necho chatter\ncat > '{script}' <<'END'\n{answer}END\nchmod 755 '{script}'\n",
    )
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    first = call(project, "demo", "--no-serve", "--json", "--data", "../shared/data", PATH=path, FAIRLEAD_NO_UV="")
    assert json.loads(first.stdout) == {"asked": "demo --no-serve --json --data ../shared/data"}
    assert first.returncode == 3
    assert "making .venv" in first.stderr
    assert "chatter" in first.stderr
    second = call(project, "schema", "--plain", PATH=path, FAIRLEAD_NO_UV="")
    assert json.loads(second.stdout) == {"asked": "schema --write --plain"}
    assert second.stderr == ""


ALL_CORES = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["test"], ["-m", "pytest", "-m", "not long", *ALL_CORES]),
        (["test", "-k", "journeys", "-x"], ["-m", "pytest", "-m", "not long", *ALL_CORES, "-k", "journeys", "-x"]),
        (["test", "-n0", "-x"], ["-m", "pytest", "-m", "not long", "-n0", "-x"]),
        (["test", "--long", "tests/core"], ["-m", "pytest", *ALL_CORES, "tests/core"]),
        (["bench", "--list"], ["-m", "benchmarks", "--list"]),
    ],
)
def test_words_that_run_python_pass_their_arguments_on(
    dev: ModuleType, steps: Steps, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: list[str]
) -> None:
    asked: list[Any] = []

    def note(*command: object, cwd: Path | None = dev.ROOT) -> int:
        asked.append((command, cwd))
        return 0

    monkeypatch.setattr(dev, "hand_over", note)
    assert dev.main(arguments) == 0
    assert asked == [((dev.PYTHON, *expected), dev.ROOT)]


@pytest.mark.parametrize("broken", [None, "mypy", "lint-imports", "migrate"])
def test_check_runs_everything_and_names_what_failed(
    dev: ModuleType,
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: str | None,
) -> None:
    asked: list[str] = []

    def note(*command: object, cwd: Path | None = None) -> int:
        asked.append(" ".join(map(str, command)))
        return int(broken is not None and broken in asked[-1])

    monkeypatch.setattr(dev, "run", note)
    assert dev.main(["check"]) == (0 if broken is None else 1)
    for part in ("ruff check", "ruff format --check", "mypy", "lint-imports", "schema --check", "migrate --check"):
        assert any(part in command for command in asked), part
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "check: all passed" if broken is None else last.startswith("check: failed: ")
    assert dev.main(["check", "--fix"]) == 2


def test_types_are_checked_in_every_import_root() -> None:
    spec = importlib.util.spec_from_file_location("dev_of_the_project", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    named = module.typed_modules()
    pairs = set(zip(named[::2], named[1::2], strict=True))
    expected = {
        ("-p", "fairlead"),
        ("-p", "fairlead_graphql"),
        ("-p", "fairlead_migrations"),
        ("-m", "fairlead_linear"),
    }
    assert expected <= pairs


def test_constraints_cover_every_dependency_and_name_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines]
    pinned = {canonicalize_name(pin.name) for pin in pins}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; .+)?", line) for line in lines)
    assert not any("://" in line or "/" in line or "--hash" in line for line in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    wanted += [Requirement(text) for group in project["optional-dependencies"].values() for text in group]
    missing = {requirement.name for requirement in wanted if canonicalize_name(requirement.name) not in pinned}
    assert missing <= {"fairlead"}
    for requirement in wanted:
        for pin in (pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(requirement.name)):
            assert requirement.specifier.contains(next(iter(pin.specifier)).version), requirement
