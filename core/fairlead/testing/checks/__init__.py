"""The contract as data: one module per kind, each a list of small named checks. It grows with every incident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from fairlead.plugins.manifest import Kind
from fairlead.testing.subject import Check

MODULES: Mapping[Kind, tuple[str, ...]] = {
    Kind.CHANNEL: ("channel", "messages", "faults", "inbound"),
    Kind.NOTIFIER: ("notifier",),
    Kind.IMPORTER: ("importer",),
    Kind.ATTRIBUTION_MODEL: ("attribution",),
    Kind.SCORING_SCHEME: ("scoring",),
    Kind.JOURNEY_NODE: ("journey_node",),
    Kind.RULE_OPERATOR: ("rule_operator",),
    Kind.CONTENT_RULE: ("content_rule",),
}


def checks_for(kind: Kind) -> Sequence[Check]:
    """The checks of every kind, then those of ``kind``."""
    modules = [import_module(f"{__name__}.{name}") for name in ("common", *MODULES[kind])]
    return [check for module in modules for check in module.CHECKS]
