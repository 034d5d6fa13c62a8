"""Templates, messages and the policy every send is held to, as the API shows them."""

from __future__ import annotations

import datetime as dt
import enum
from typing import TYPE_CHECKING, Annotated

import strawberry

from fairlead_graphql.listing import batched
from fairlead_graphql.paging import MOST
from fairlead_graphql.policy import client_field, reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Node
from fairlead_graphql.selection import selection_of

if TYPE_CHECKING:
    from fairlead_graphql.customers.types import Profile

ProfileRef = Annotated["Profile", strawberry.lazy("fairlead_graphql.customers.types")]


@strawberry.enum(description="Where a message stands.")
class MessageState(enum.Enum):
    """States of messages."""

    QUEUED = strawberry.enum_value("queued", description="It waits for its time, or for its turn.")
    SENDING = strawberry.enum_value("sending", description="It was claimed and is being handed to the platform.")
    SENT = strawberry.enum_value("sent", description="The platform took it.")
    REFUSED = strawberry.enum_value("refused", description="A guard or the platform refused it; the reason says why.")
    FAILED = strawberry.enum_value("failed", description="It could not be sent.")
    UNKNOWN = strawberry.enum_value(
        "unknown",
        description="Nobody knows whether it left; it is not sent again until a person or receipt settles it.",
    )
    CANCELLED = strawberry.enum_value("cancelled", description="A person took it back before it left.")


@strawberry.enum(description="A rolling period.")
class CapPeriod(enum.Enum):
    """Periods of caps."""

    DAY = strawberry.enum_value("day", description="24 hours.")
    WEEK = strawberry.enum_value("week", description="7 days.")
    MONTH = strawberry.enum_value("month", description="30 days.")


@reached_with("messages:read")
@strawberry.type(description="A version of a template: text with Liquid variables, immutable.")
class Template(Node):
    """A template."""

    name: str = strawberry.field(description="Its name in journeys, the same for all versions.")
    number: int = strawberry.field(description="Number of the version, from 1; the newest is the one in use.")
    subject: str = strawberry.field(description="Subject; may be empty.")
    text: str = strawberry.field(description="Plain text; may be empty when there is HTML.")
    html: str = strawberry.field(description="HTML; may be empty when there is text.")
    created_at: dt.datetime = strawberry.field(description="When this version was saved.")


@reached_with("profiles:read")
@strawberry.type(
    description="A template filled in for somebody, with a masked name and an unsubscribe link without effect."
)
class TemplatePreview:
    """A preview."""

    subject: str = strawberry.field(description="The subject.")
    text: str = strawberry.field(description="The plain text.")
    html: str = strawberry.field(description="The HTML. Show it in a sandbox: it is what somebody wrote.")


@reached_with("messages:read")
@strawberry.type(description="A change of a message's state.")
class MessageChange:
    """An entry of the history."""

    number: int = strawberry.field(description="1 for the first change.")
    state: MessageState = strawberry.field(description="The new state.")
    reason: str = strawberry.field(description="Why; may be empty.")
    at: dt.datetime = strawberry.field(description="When.")


@reached_with("messages:read")
@strawberry.type(description="What the platform told about a message later.")
class MessageReceipt:
    """A receipt."""

    state: str = strawberry.field(
        description="delivered, read, clicked, bounced, soft_bounced, complained, unsubscribed or failed."
    )
    at: dt.datetime = strawberry.field(description="When, by the platform's clock.")
    detail: str = strawberry.field(description="The platform's words; may be empty.")


@reached_with("messages:read")
@strawberry.type(description="One message to one person through one account.")
class Message(Node):
    """A message."""

    client_id: strawberry.Private[int]
    channel: str = strawberry.field(description="Name of the channel.")
    account_id: strawberry.ID = strawberry.field(description="Global id of the channel account.")
    purpose: str = strawberry.field(description="The purpose the person must have agreed to.")
    state: MessageState = strawberry.field(description="Where it stands.")
    reason: str = strawberry.field(description="Why it stands there; may be empty.")
    due_at: dt.datetime = strawberry.field(description="When it may leave at the earliest.")
    attempts: int = strawberry.field(description="How often it was tried.")
    created_at: dt.datetime = strawberry.field(description="When it was decided on.")
    sent_at: dt.datetime | None = strawberry.field(description="When the platform took it; null before.")
    enrolment_id: strawberry.ID | None = strawberry.field(description="Global id of the enrolment it is for, if any.")
    node_id: str = strawberry.field(description="The journey's node that sends it; empty without a journey.")
    template: Template | None = strawberry.field(description="The version of the template it is written with.")
    history: list[MessageChange] = rows(MOST, "Its changes of state in order, the latest 100.")
    receipts: list[MessageReceipt] = rows(MOST, "What the platform told later, the latest 100.")

    @client_field("profiles:read", on="Message", description="To whom; null when they were erased since.")
    def profile(self, info: strawberry.Info) -> ProfileRef | None:
        from fairlead_graphql.messaging import loaders

        work, selection = info.context.work(self.client_id), selection_of(info)
        return batched(
            self,
            ("profile", id(selection)),
            lambda numbers: loaders.profiles_by_message(work, numbers, selection),
            lambda: None,
        )


@reached_with("messages:read")
@strawberry.type(description="How many messages are in a state for a reason.")
class MessageCount:
    """A count."""

    channel: str = strawberry.field(description="The channel.")
    state: MessageState = strawberry.field(description="The state.")
    reason: str = strawberry.field(description="The reason; may be empty.")
    count: int = strawberry.field(description="How many messages.")


@reached_with("messages:read")
@strawberry.type(description="At most so many messages per person in a rolling period.")
class MessageCap:
    """A cap."""

    per: CapPeriod = strawberry.field(description="The period.")
    limit: int = strawberry.field(description="The most messages in it.")
    purpose: str = strawberry.field(description="Of this purpose, or * for any.")
    channel: str = strawberry.field(description="Through this channel, or * for any.")


@reached_with("messages:read")
@strawberry.type(description="What every message of the client is held to just before it leaves.")
class MessagingPolicy:
    """The policy."""

    quiet_from: int = strawberry.field(
        description="First minute of the quiet hours, in minutes of the day (0 to 1439) in the person's zone."
    )
    quiet_until: int = strawberry.field(
        description="First minute after the quiet hours; the same as quietFrom for none."
    )
    caps: list[MessageCap] = rows(250, "Caps; each of them holds.")
