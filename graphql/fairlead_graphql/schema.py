"""The one schema: the roots put together from the domains, and what plugins add."""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry.schema.config import StrawberryConfig

from fairlead.plugins.manager import Plugins
from fairlead_graphql.audiences.mutations import AudiencesMutation
from fairlead_graphql.audiences.values import RULE_VALUE, RuleValue
from fairlead_graphql.channels.mutations import ChannelsMutation
from fairlead_graphql.clients.agency import AgencyQuery
from fairlead_graphql.clients.member_mutations import MembersMutation
from fairlead_graphql.clients.mutations import ClientsMutation
from fairlead_graphql.clients.queries import ClientsQuery
from fairlead_graphql.clients.token_mutations import TokensMutation
from fairlead_graphql.customers import nodes as _customer_nodes  # noqa: F401 - tells `node` how to find them
from fairlead_graphql.customers.mutations import CustomersMutation
from fairlead_graphql.door import DoorSchema, Limits
from fairlead_graphql.governance.mutations import GovernanceMutation
from fairlead_graphql.governance.subscriptions import GovernanceSubscription
from fairlead_graphql.insights.mutations import InsightsMutation
from fairlead_graphql.journeys.mutations import JourneysMutation
from fairlead_graphql.journeys.subscriptions import JourneysSubscription
from fairlead_graphql.measured import CountedOperations
from fairlead_graphql.messaging.mutations import MessagingMutation
from fairlead_graphql.nodes import NodesQuery
from fairlead_graphql.plugin_fields import add_plugin_fields
from fairlead_graphql.plugins.mutations import PluginsMutation

PUBLIC_FIELDS = ("Query.health",)


@strawberry.type(description="Everything that can be asked.")
class Query(ClientsQuery, AgencyQuery, NodesQuery):
    """The query root."""


@strawberry.type(
    description="Everything that can be done. Every mutation takes one input and answers with errors as data."
)
class Mutation(
    CustomersMutation,
    ClientsMutation,
    MembersMutation,
    TokensMutation,
    PluginsMutation,
    ChannelsMutation,
    GovernanceMutation,
    AudiencesMutation,
    JourneysMutation,
    MessagingMutation,
    InsightsMutation,
):
    """The mutation root."""


@strawberry.type(description="Everything that can be watched, over a socket or server-sent events.")
class Subscription(GovernanceSubscription, JourneysSubscription):
    """The subscription root."""


def build_schema(plugins: Plugins | None = None, limits: Limits | None = None, **more: Any) -> DoorSchema:
    """The schema with the fields of all installed plugins; each of them answers only where its plugin is on."""
    types = add_plugin_fields(plugins) if plugins is not None else []
    return DoorSchema(
        Query,
        Mutation,
        Subscription,
        limits=limits or Limits(),
        public_fields=PUBLIC_FIELDS,
        types=types,
        extensions=[CountedOperations],
        config=StrawberryConfig(scalar_map={RuleValue: RULE_VALUE}),
        **more,
    )


def sdl() -> str:
    """The schema of the core alone as text, as it is committed."""
    from fairlead_graphql.sdl import text

    return text()
