"""The whole extension surface. A plugin implements any of these functions and names only the arguments it needs.

Register hooks are called once per process, at start-up. ``register`` takes the thing itself (an object with a
``manifest``); the same name twice within a kind is an error that names both distributions. An exception from a register
hook keeps the plugin off and is shown with its name in ``fairlead plugin list`` and in the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead.plugins.contracts.attribution import AttributionModel
    from fairlead.plugins.contracts.channel import Channel
    from fairlead.plugins.contracts.importer import ContentRule, Importer
    from fairlead.plugins.contracts.journey_node import JourneyNode
    from fairlead.plugins.contracts.notifier import Notifier
    from fairlead.plugins.contracts.rule_operator import RuleOperator
    from fairlead.plugins.contracts.scoring import ScoringScheme
    from fairlead.plugins.events import DomainEvent
    from fairlead.plugins.extensions import GraphQLRegistry, MigrationSource

PROJECT = "fairlead"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# -- things that talk to the outside --------------------------------------------------------------------------------


@hookspec
def fairlead_register_channels(register: Callable[[Channel], None]) -> None:
    """Register the channels your plugin connects: shops, messengers, mail, ads."""


@hookspec
def fairlead_register_notifiers(register: Callable[[Notifier], None]) -> None:
    """Register ways to tell staff that something happened."""


@hookspec
def fairlead_register_importers(register: Callable[[Importer], None]) -> None:
    """Register export formats whose columns you recognise."""


# -- things that compute --------------------------------------------------------------------------------------------


@hookspec
def fairlead_register_attribution_models(register: Callable[[AttributionModel], None]) -> None:
    """Register models that share conversions among channels."""


@hookspec
def fairlead_register_scoring_schemes(register: Callable[[ScoringScheme], None]) -> None:
    """Register schemes that give each profile a number."""


# -- things that decide ---------------------------------------------------------------------------------------------


@hookspec
def fairlead_register_journey_nodes(register: Callable[[JourneyNode], None]) -> None:
    """Register nodes that a journey can be drawn with."""


@hookspec
def fairlead_register_rule_operators(register: Callable[[RuleOperator], None]) -> None:
    """Register conditions that rules can use under ``operator``."""


@hookspec
def fairlead_register_content_rules(register: Callable[[ContentRule], None]) -> None:
    """Register checks of texts."""


# -- the API, the database, events ----------------------------------------------------------------------------------


@hookspec
def fairlead_graphql(register: GraphQLRegistry) -> None:
    """Add types, root fields and fields of core types to the one GraphQL schema; each is off where your plugin is."""


@hookspec
def fairlead_register_migrations(register: Callable[[MigrationSource], None]) -> None:
    """Register the migration scripts of your own tables; they get a version table of their own."""


@hookspec
def fairlead_on_event(event: DomainEvent) -> None:
    """Hear of a domain event of a client your plugin is on for. An exception is logged with your name, nothing more."""


HOOKS: tuple[str, ...] = tuple(name for name in list(globals()) if name.startswith("fairlead_"))
