"""`fairlead plugin list` and `check`, from the command line's side; `new` is tested in test_template.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairlead.cli_plugin import plugin_app

RUN = CliRunner()
ROOT = Path(__file__).parents[3]


@pytest.fixture
def broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed plugin that cannot be imported."""
    info = tmp_path / "acme-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[fairlead]\nacme_broken = no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_list_as_json_names_what_is_there() -> None:
    result = RUN.invoke(plugin_app, ["list", "--json"])
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    console = rows["console"]
    assert (console["state"], console["kinds"], console["capabilities"]) == ("on", ["channel"], ["messages"])
    assert (console["distribution"], console["hooks"]) == ("fairlead", ["fairlead_register_channels"])


def test_list_shows_why_a_plugin_is_off(broken_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_PLUGINS_BLOCK", "console")
    result = RUN.invoke(plugin_app, ["list"])
    assert result.exit_code == 1, "a failed plugin is a failure"
    said = " ".join(result.output.split())
    assert "console is blocked: named in FAIRLEAD_PLUGINS_BLOCK" in said
    assert "acme_broken is failed: ModuleNotFoundError: No module named 'no_such_module_anywhere'" in said


def test_check_counts_what_is_kept_and_what_was_not_tried() -> None:
    result = RUN.invoke(plugin_app, ["check", "tmall_report", "--json"])
    assert result.exit_code == 0, result.output
    (verdict,) = json.loads(result.stdout)
    assert verdict["untried"] == ["a_known_header_is_mapped"]
    assert "a_strange_header_is_left_alone" in verdict["kept"]
    assert verdict["missing"] == {}


def test_check_with_a_harness_tries_everything() -> None:
    harness = ROOT / "tests" / "contract" / "harness" / "tmall_report.py"
    result = RUN.invoke(plugin_app, ["check", "tmall_report", "--harness", f"{harness}:harness"])
    assert (result.exit_code, result.stdout.strip()) == (0, "tmall_report: 8 of 8 promises kept")


def test_each_plugin_is_checked_by_its_own_tests() -> None:
    from fairlead.testing.run import run_checks

    scoring, importer = run_checks(["weighted", "tmall_report"])
    assert "a_repeat_scores_the_same" in scoring.kept
    assert "a_strange_header_is_left_alone" in importer.kept


def test_check_of_a_plugin_that_does_not_load_says_why(broken_plugin: Path) -> None:
    result = RUN.invoke(plugin_app, ["check", "acme_broken"])
    assert result.exit_code == 1
    assert "loads: plugin 'acme_broken' is failed: ModuleNotFoundError" in result.stdout


def test_check_of_an_unknown_plugin_says_what_to_do() -> None:
    result = RUN.invoke(plugin_app, ["check", "nobody"])
    assert result.exit_code == 1
    assert "no plugin 'nobody' is installed" in result.stdout


def test_without_pytest_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fairlead.testing.run", raising=False)
    monkeypatch.setitem(sys.modules, "pytest", None)
    result = RUN.invoke(plugin_app, ["check", "console"])
    assert result.exit_code == 2
    assert "pip install 'fairlead[test]'" in result.output
