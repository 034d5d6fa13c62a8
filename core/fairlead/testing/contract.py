"""One line in a plugin's test file: ``TestAcme = contract_tests("acme_sms")``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from fairlead.plugins.discovery import Choice, installed
from fairlead.plugins.errors import PluginError
from fairlead.plugins.manager import Plugins
from fairlead.plugins.manifest import Kind
from fairlead.plugins.registry import PluginClash
from fairlead.testing.checks import checks_for
from fairlead.testing.subject import Check, ContractBroken, Subject

Harness = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """One check of one registered thing, ready to run."""

    name: str
    check: Check
    subject: Subject

    def run(self) -> None:
        """Raise :class:`ContractBroken` with one sentence, or return."""
        self.check.run(self.subject)


def contract_tests(
    name: str,
    *,
    harness: Harness | Mapping[Kind, Harness] | None = None,
    plugins: Plugins | None = None,
    twin: bool = True,
) -> type:
    """A test class with one test per promise that the plugin with the entry name ``name`` makes.

    ``harness`` is a function without arguments that returns what the kit needs to exercise the plugin (see
    :mod:`fairlead.testing.harness`), or a mapping of such functions by kind when the plugin registers several things.
    ``plugins`` replaces discovery by entry points. ``twin=False`` leaves out the tests that need a far side.
    """
    members: dict[str, Any] = {"__doc__": f"The contract of the plugin {name!r}.", "__module__": __name__}
    try:
        trials = list(trials_of(name, harness=harness, plugins=plugins))
    except ContractBroken as error:
        members["test_loads"] = _failing(str(error))
    else:
        for trial in trials:
            if twin or not trial.check.twin:
                members[f"test_{trial.name}"] = _method(trial)
    return type(f"Contract_{name}", (), members)


def trials_of(
    name: str, *, harness: Harness | Mapping[Kind, Harness] | None = None, plugins: Plugins | None = None
) -> Iterator[Trial]:
    """Every check that applies to what ``name`` registers. Raise :class:`ContractBroken` when it cannot be loaded."""
    loaded = plugins or load_only(name)
    status = next((status for status in loaded.statuses() if status.name == name), None)
    if status is None:
        raise ContractBroken(f"no plugin {name!r} is installed; in its folder, run: pip install -e .")
    if status.state != "on":
        raise ContractBroken(f"plugin {name!r} is {status.state}: {status.reason}")
    several = len(status.things) > 1
    for registered in status.things:
        made = harness.get(registered.kind) if isinstance(harness, Mapping) else harness
        subject = Subject(registered, loaded.module(name), made)
        for check in checks_for(registered.kind):
            if check.applies(registered.manifest):
                prefix = f"{registered.kind.value}_{registered.name}_" if several else ""
                yield Trial(f"{prefix}{check.name}", check, subject)


def load_only(name: str) -> Plugins:
    """The plugins of this process narrowed to ``name``, so that nothing else is imported."""
    try:
        return Plugins([source for source in installed() if source.name == name], choice=Choice())
    except PluginClash as error:
        raise ContractBroken(str(error)) from error


def _method(trial: Trial) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        del self
        sentence = ""
        try:
            trial.run()
        except ContractBroken as error:
            sentence = str(error)
        except PluginError as error:
            sentence = f"{type(error).__name__}: {error.message}"
        # Outside the handler, so that the author reads the sentence and not the chain behind it.
        if sentence:
            pytest.fail(sentence, pytrace=False)

    test.__doc__ = trial.check.promise
    test.__name__ = f"test_{trial.name}"
    return test


def _failing(sentence: str) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        del self
        pytest.fail(sentence, pytrace=False)

    return test
