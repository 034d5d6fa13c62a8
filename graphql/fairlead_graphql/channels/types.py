"""Connected accounts on platforms, as the API shows them."""

from __future__ import annotations

import datetime as dt

import strawberry
from strawberry.scalars import JSON

from fairlead_graphql.policy import reached_with
from fairlead_graphql.scalars import Node


@reached_with("channels:read")
@strawberry.type(description="One account of the client on one platform, reached through a channel plugin.")
class ChannelAccount(Node):
    """A channel account."""

    channel: str = strawberry.field(description="Name of the channel plugin's channel.")
    is_channel_on: bool = strawberry.field(
        description="Whether that channel is on for the client; without it nothing moves."
    )
    name: str = strawberry.field(description="Name of the account, unique within the channel.")
    platform: str = strawberry.field(description="The platform, as people call it.")
    account_type: str = strawberry.field(
        description="shop, official_account, mini_program, mailbox, sms, ads, till, crm or other."
    )
    permission_level: str = strawberry.field(description="What the platform lets us do: read, write or manage.")
    state: str = strawberry.field(
        description="State of the integration: planned, connected, paused, failed or disconnected."
    )
    owner: str = strawberry.field(description="Who looks after it; may be empty.")
    note: str = strawberry.field(description="Anything worth knowing; may be empty.")
    connected_at: dt.datetime | None = strawberry.field(description="When it was first connected.")
    last_error: str = strawberry.field(description="What went wrong last; empty when all is well.")
    last_error_at: dt.datetime | None = strawberry.field(description="When that was.")
    health: str = strawberry.field(description="unknown, ok, degraded or down, by the last check or use.")
    health_at: dt.datetime | None = strawberry.field(description="When that was found out.")
    synced_until: dt.datetime | None = strawberry.field(description="Everything up to here has been fetched.")
    settings: JSON | None = strawberry.field(
        description='The values of its settings form; a secret is only `{"set": true}` or `{"set": false}`. Null while '
        "the channel is off."
    )
    created_at: dt.datetime = strawberry.field(description="When it was noted here.")
    changed_at: dt.datetime = strawberry.field(description="When somebody or something last changed it.")
