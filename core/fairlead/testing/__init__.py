"""The contract kit, shipped: what a plugin must keep, tried on it from one line in its own test file.

::

    from fairlead.testing import contract_tests

    TestAcmeSms = contract_tests("acme_sms")

Importing this package is cheap; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.testing.contract import contract_tests as contract_tests
    from fairlead.testing.fakes import FakeClock as FakeClock
    from fairlead.testing.fakes import FakeHttp as FakeHttp
    from fairlead.testing.fakes import SavedSettings as SavedSettings
    from fairlead.testing.fakes import fake_context as fake_context
    from fairlead.testing.harness import ChannelHarness as ChannelHarness
    from fairlead.testing.harness import ContentHarness as ContentHarness
    from fairlead.testing.harness import ImporterHarness as ImporterHarness
    from fairlead.testing.harness import NodeHarness as NodeHarness
    from fairlead.testing.harness import RuleHarness as RuleHarness
    from fairlead.testing.hostile import HostileChannel as HostileChannel
    from fairlead.testing.hostile import Mood as Mood
    from fairlead.testing.people import core_node_harness as core_node_harness
    from fairlead.testing.people import core_rule_harness as core_rule_harness
    from fairlead.testing.samples import sample_settings as sample_settings

_HOME = {
    "contract_tests": "contract",
    "FakeClock": "fakes",
    "FakeHttp": "fakes",
    "SavedSettings": "fakes",
    "fake_context": "fakes",
    "ChannelHarness": "harness",
    "ContentHarness": "harness",
    "ImporterHarness": "harness",
    "NodeHarness": "harness",
    "RuleHarness": "harness",
    "HostileChannel": "hostile",
    "Mood": "hostile",
    "core_node_harness": "people",
    "core_rule_harness": "people",
    "sample_settings": "samples",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
