"""Acme's loyalty programme: a channel, a table, a journey node, a rule operator and fields of the API."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fairlead.plugins import hookimpl
from fairlead.plugins.contracts.channel import Channel
from fairlead.plugins.contracts.journey_node import JourneyNode
from fairlead.plugins.contracts.rule_operator import RuleOperator
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.plugins.extensions import GraphQLRegistry, MigrationSource
from fairlead_acme_loyalty.channel import AcmeCard
from fairlead_acme_loyalty.model import PREFIX, Base
from fairlead_acme_loyalty.node import EnoughPoints
from fairlead_acme_loyalty.operator import PointsEarned

log = logging.getLogger("fairlead_acme_loyalty")


@hookimpl
def fairlead_register_channels(register: Callable[[Channel], None]) -> None:
    """Register the loyalty card as a channel."""
    register(AcmeCard())


@hookimpl
def fairlead_register_journey_nodes(register: Callable[[JourneyNode], None]) -> None:
    """Register the branch by points."""
    register(EnoughPoints())


@hookimpl
def fairlead_register_rule_operators(register: Callable[[RuleOperator], None]) -> None:
    """Register the condition on points earned."""
    register(PointsEarned())


@hookimpl
def fairlead_register_migrations(register: Callable[[MigrationSource], None]) -> None:
    """Register the scripts of our one table."""
    register(MigrationSource("acme_loyalty", "fairlead_acme_loyalty:migrations", PREFIX, Base.metadata))


@hookimpl
def fairlead_graphql(register: GraphQLRegistry) -> None:
    """Add our two fields. The import is here because only a process that serves the API needs it."""
    from fairlead_acme_loyalty import api

    api.register_fields(register)


@hookimpl
def fairlead_on_event(event: DomainEvent) -> None:
    """Note the end of an import. Nothing that must not be missed may hang on it: an event comes at most once."""
    if event.type == EventType.IMPORT_FINISHED:
        log.info("client %s: import %s has ended; members may have earned points", event.client_id, event.subject)
