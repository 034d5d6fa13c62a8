"""The contract kit over every plugin that is installed: ours and, if there are any, strangers'.

A plugin that ships must load and keep every promise. What a check needs to exercise one is in ``harness/<name>.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from fairlead.plugins.discovery import PluginSource, installed
from fairlead.plugins.manager import Plugins
from fairlead.plugins.manifest import Kind
from fairlead.testing.contract import Trial, trials_of
from fairlead.testing.run import load_harness
from fairlead.testing.subject import ContractBroken

HARNESSES = Path(__file__).with_name("harness")
PLUGINS = Plugins.discover(environ={})
NEEDS_HARNESS = {Kind.CHANNEL, Kind.NOTIFIER, Kind.IMPORTER, Kind.CONTENT_RULE}


def trials() -> list[ParameterSet]:
    found = []
    for status in PLUGINS.statuses():
        if status.state == "on":
            file = HARNESSES / f"{status.name}.py"
            harness = load_harness(f"{file}:harness") if file.is_file() else None
            for trial in trials_of(status.name, harness=harness, plugins=PLUGINS):
                found.append(pytest.param(trial, id=f"{status.name}-{trial.name}"))
    return found


@pytest.mark.parametrize("source", installed(), ids=lambda source: source.name)
def test_every_plugin_loads(source: PluginSource) -> None:
    status = {status.name: status for status in PLUGINS.statuses()}[source.name]
    assert status.state == "on", f"{status.name} of {status.distribution}: {status.reason}"


@pytest.mark.parametrize("trial", trials())
def test_contract(trial: Trial) -> None:
    sentence = ""
    try:
        trial.run()
    except ContractBroken as error:
        sentence = str(error)
    assert not sentence, sentence


def test_every_shipped_plugin_with_a_far_side_has_a_harness() -> None:
    needing = {
        status.name
        for status in PLUGINS.statuses()
        if status.distribution == "fairlead" and {thing.kind for thing in status.things} & NEEDS_HARNESS
    }
    assert needing == {file.stem for file in HARNESSES.glob("*.py")}
