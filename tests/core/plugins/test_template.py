"""What `fairlead plugin new` writes runs at once, says what is missing, and passes with the lines the manual gives."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairlead.cli_plugin import plugin_app
from fairlead.plugins.manifest import Kind
from fairlead.plugins.scaffold import KINDS, TEMPLATES

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
FILL = re.compile(r"<!-- fill: (\w+) (\w+\.py) -->\n```python\n(.*?)```", re.DOTALL)
MARK = re.compile(r"# -- fill in -+\n")

pytest.importorskip("copier", reason="copier is not installed: pip install 'fairlead[new]'")

EMPTY = {
    Kind.CHANNEL: "send() to a good account raised Abort: send_message() in client.py is empty",
    Kind.NOTIFIER: "raised Abort: deliver() in notifier.py is empty",
    Kind.ATTRIBUTION_MODEL: "credit() raised Abort on",
    Kind.SCORING_SCHEME: "Abort: features() in scheme.py is empty",
    Kind.JOURNEY_NODE: "run() raised Abort for 120 people: choose() in node.py is empty",
    Kind.RULE_OPERATOR: "Abort: in_sql() in operator.py is empty",
}


def render(kind: Kind, folder: Path, name: str = "acme_sms") -> Path:
    result = CliRunner().invoke(plugin_app, ["new", name, "--kind", kind.value, "--dir", str(folder)])
    assert result.exit_code == 0, result.output
    return folder / f"fairlead_{name}"


def fill(package: Path, kind: Kind) -> int:
    """Put the manual's lines into the package; return how many lines of code they are."""
    found = {Kind(k): (file, code) for k, file, code in FILL.findall(MANUAL)}
    file, code = found[kind]
    path = next(package.glob(f"src/*/{file}"))
    head, tail = MARK.split(path.read_text(encoding="utf-8"))
    assert "is empty" in tail
    path.write_text(f"{head}{code}", encoding="utf-8")
    return len([line for line in code.splitlines() if line.strip()])


def make_importable(package: Path, folder: Path) -> str:
    """What pip would leave behind, without pip: the metadata with the entry point, and the source on the path."""
    info = folder / "acme_sms-0.1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sms\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[fairlead]\nacme_sms = fairlead_acme_sms\n")
    return os.pathsep.join([str(folder), str(package / "src")])


def run_tests(package: Path, path: str) -> tuple[int, str]:
    # Without other people's pytest plugins: they take longer to import than the tests take to run.
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=package, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS, ids=[kind.value for kind in KINDS])
def test_new_plugin_says_what_is_missing_and_passes_when_filled(kind: Kind, tmp_path: Path) -> None:
    package = render(kind, tmp_path)
    path = make_importable(package, tmp_path)

    code, said = run_tests(package, path)
    assert code == 1, said
    assert EMPTY[kind] in said
    assert "Traceback" not in said
    assert "error" not in said.splitlines()[-1], "the empty plugin must import and fail by its contract alone"

    lines = fill(package, kind)
    assert lines <= 10
    code, said = run_tests(package, path)
    assert code == 0, said


def test_new_plugin_can_be_installed_by_pip(tmp_path: Path) -> None:
    package, target = render(Kind.CHANNEL, tmp_path), tmp_path / "site"
    fill(package, Kind.CHANNEL)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--target", str(target), str(package)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    code, said = run_tests(package, str(target))
    assert code == 0, said
    points = [p for d in importlib.metadata.distributions(path=[str(target)]) for p in d.entry_points]
    assert [(p.group, p.name, p.value) for p in points] == [("fairlead", "acme_sms", "fairlead_acme_sms")]


def test_the_set_of_files(tmp_path: Path) -> None:
    package = render(Kind.CHANNEL, tmp_path)
    files = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert files == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/fairlead_acme_sms/__init__.py",
        "src/fairlead_acme_sms/channel.py",
        "src/fairlead_acme_sms/client.py",
        "src/fairlead_acme_sms/quality.toml",
        "src/fairlead_acme_sms/settings.py",
        "tests/test_contract.py",
        "tests/twin.py",
    }
    text = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*") if path.is_file())
    assert "{{" not in text
    assert "jinja" not in text


@pytest.mark.parametrize("kind", KINDS, ids=[kind.value for kind in KINDS])
def test_each_kind_has_a_template_and_lines_in_the_manual(kind: Kind) -> None:
    assert (TEMPLATES / kind.value).is_dir()
    assert kind.value in {found[0] for found in FILL.findall(MANUAL)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["new", "Acme"], "not a plugin name"),
        (["new", "class"], "not a plugin name"),
        (["new", "acme", "--kind", "importer"], "no template for the kind importer"),
    ],
)
def test_a_bad_request_is_refused(arguments: list[str], says: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(plugin_app, [*arguments, "--dir", str(tmp_path)])
    assert result.exit_code == 2
    assert says in result.output
    assert not list(tmp_path.iterdir())


def test_a_taken_folder_is_left_alone(tmp_path: Path) -> None:
    package = render(Kind.NOTIFIER, tmp_path)
    (package / "README.md").write_text("mine")
    result = CliRunner().invoke(plugin_app, ["new", "acme_sms", "--dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not empty" in result.output
    assert (package / "README.md").read_text() == "mine"


def test_without_copier_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "copier", None)
    result = CliRunner().invoke(plugin_app, ["new", "acme_sms", "--dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "pip install 'fairlead[new]'" in result.output
