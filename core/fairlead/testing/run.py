"""The contract kit through pytest, in this process, with the outcome as data."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import tempfile
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing.contract import trials_of
from fairlead.testing.subject import ContractBroken

FILE = '''"""Written by `fairlead plugin check`."""

from fairlead.testing.contract import contract_tests
from fairlead.testing.run import load_harness

TestContract = contract_tests({name!r}, harness=load_harness({harness!r}), twin={twin!r})
'''


@dataclass(slots=True)
class Verdict:
    """What the kit found for one plugin: ``kept`` names checks, ``missing`` says why by check."""

    plugin: str
    kept: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For a person: a summary, then one line for each thing that is missing."""
        total = len(self.kept) + len(self.missing)
        tail = f"; {len(self.untried)} not tried: they need a twin (--harness)" if self.untried else ""
        return [
            f"{self.plugin}: {len(self.kept)} of {total} promises kept{tail}",
            *(f"  {name}: {reason}" for name, reason in self.missing.items()),
        ]

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {"plugin": self.plugin, "kept": self.kept, "missing": self.missing, "untried": self.untried}


class _Recorder:
    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note each test's outcome; a failure's last word is its sentence."""
        name = report.nodeid.rpartition("::")[2].removeprefix("test_")
        if report.failed:
            self._verdict.missing[name] = _last_line(report)
        elif report.when == "call" and report.passed:
            self._verdict.kept.append(name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected is a failure, not silence."""
        if report.failed:
            self._verdict.missing["collect"] = _last_line(report)


def run_checks(names: Iterable[str], *, harness: str = "") -> list[Verdict]:
    """Run the kit over the installed plugins ``names``. ``harness`` is ``file.py:function`` or empty.

    Without a harness the checks that exercise a plugin against its far side are listed as untried.
    """
    return [_run(name, harness) for name in names]


def load_harness(reference: str) -> Any:
    """The function behind ``file.py:function``; ``None`` for an empty reference."""
    if not reference:
        return None
    path, _, function = reference.rpartition(":")
    file = Path(path).resolve()
    name = f"fairlead_harness_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise ContractBroken(f"there is no harness file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return getattr(module, function)


def _run(name: str, harness: str) -> Verdict:
    verdict = Verdict(name)
    reference = f"{Path(harness.rpartition(':')[0]).resolve()}:{harness.rpartition(':')[2]}" if harness else ""
    if not harness:
        with contextlib.suppress(ContractBroken):
            verdict.untried = [trial.name for trial in trials_of(name) if trial.check.twin]
    with tempfile.TemporaryDirectory(prefix="fairlead-check-") as folder:
        # A name that no run had before: pytest keeps modules by name, and would run an earlier run's tests.
        file = Path(folder) / f"test_contract_{uuid.uuid4().hex}.py"
        file.write_text(FILE.format(name=name, harness=reference, twin=bool(harness)), encoding="utf-8")
        # A configuration of its own, so that no pytest settings of the folder we were called in take part.
        config = file.with_name("pytest.ini")
        config.write_text("[pytest]\n", encoding="utf-8")
        options = ["-p", "no:terminal", "-p", "no:cacheprovider", "--import-mode=importlib"]
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main([*options, "-c", str(config), str(file)], plugins=[_Recorder(verdict)])
        sys.modules.pop(file.stem, None)
    return verdict


def _last_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    lines = [line.strip() for line in str(report.longrepr).splitlines() if line.strip()]
    return lines[-1].removeprefix("E").strip() if lines else "failed"
