"""Who asks and which clients there are. ``Client`` is the root of everything tenant-scoped."""

from __future__ import annotations

import datetime as dt

import strawberry

from fairlead_graphql.audiences.queries import AudiencesOfClient
from fairlead_graphql.channels.queries import ChannelsOfClient
from fairlead_graphql.clients.access_queries import MembersOfClient
from fairlead_graphql.customers.queries import CustomersOfClient
from fairlead_graphql.governance.queries import GovernanceOfClient
from fairlead_graphql.insights.queries import InsightsOfClient
from fairlead_graphql.journeys.queries import JourneysOfClient
from fairlead_graphql.messaging.queries import MessagingOfClient
from fairlead_graphql.paging import MOST
from fairlead_graphql.plugins.queries import PluginsOfClient
from fairlead_graphql.policy import reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Node


@reached_with("member")
@strawberry.type(description="Whoever holds the token of this request, and what they may do.")
class Viewer:
    """The caller."""

    name: str = strawberry.field(description="Name of the member.")
    permissions: list[str] = strawberry.field(description="What they may do at the agency and every client.")
    clients: list[ViewerClient] = rows(
        MOST, "Clients they have permissions of their own at, or that their token is narrowed to, by slug, at most 100."
    )
    is_agency_wide: bool = strawberry.field(description="Whether they may act across clients.")


@reached_with("member")
@strawberry.type(description="What the caller may do at one client.")
class ViewerClient:
    """Permissions at a client."""

    slug: str = strawberry.field(description="Slug of the client.")
    name: str = strawberry.field(description="Name of the client.")
    permissions: list[str] = strawberry.field(description="What they may do there, all roles together.")


@reached_with("client:read")
@strawberry.type(description="A client of the agency: everything below belongs to it alone.")
class Client(
    CustomersOfClient,
    ChannelsOfClient,
    PluginsOfClient,
    MembersOfClient,
    GovernanceOfClient,
    AudiencesOfClient,
    JourneysOfClient,
    MessagingOfClient,
    InsightsOfClient,
    Node,
):
    """A client."""

    slug: str = strawberry.field(description="Name in addresses and arguments.")
    name: str = strawberry.field(description="Name for people.")
    zone: str = strawberry.field(description="IANA time zone in which its days begin.")
    currency: str = strawberry.field(description="ISO 4217 code of its money.")
    state: str = strawberry.field(description="active or archived.")
    created_at: dt.datetime | None = strawberry.field(description="When it was made.")
