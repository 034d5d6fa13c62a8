"""Profiles and what belongs to them, as the API shows them: personal values masked unless revealed."""

from __future__ import annotations

import datetime as dt
import enum

import strawberry
from strawberry.scalars import JSON

from fairlead_graphql.arguments import After, First
from fairlead_graphql.journeys.of_profile import JourneysOfProfile
from fairlead_graphql.listing import Connection, batched, empty_connection, page_of
from fairlead_graphql.messaging.of_profile import MessagingOfProfile
from fairlead_graphql.paging import MOST
from fairlead_graphql.policy import reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Money, Node
from fairlead_graphql.selection import selection_of


@reached_with("profiles:read")
@strawberry.type(description="Something that points at a person: a phone, an e-mail address, an id on a platform.")
class Identity(Node):
    """An identity."""

    kind: str = strawberry.field(description="What it is, such as phone, email or wechat_openid.")
    scope: str = strawberry.field(description="The app or shop it is valid in; empty when it is valid everywhere.")
    masked: str = strawberry.field(description="The value with most of it hidden.")
    strong: bool = strawberry.field(description="Whether it alone tells a person; weak ones never join two.")
    state: str = strawberry.field(description="active, or bounced when nothing reaches it.")
    source: str = strawberry.field(description="Where it was first seen.")
    created_at: dt.datetime = strawberry.field(description="When it was first seen.")


@reached_with("profiles:read")
@strawberry.type(description="A label on a profile.")
class ProfileTag:
    """A tag as a profile has it."""

    id: strawberry.ID = strawberry.field(description="Global id of the tag.")
    name: str = strawberry.field(description="Name of the tag.")
    level: int = strawberry.field(description="1 or 2.")
    since: dt.datetime = strawberry.field(description="When it was put on.")
    source: str = strawberry.field(description="Who or what put it on.")


@reached_with("profiles:read")
@strawberry.type(description="A segment a profile is in.")
class ProfileSegment:
    """A membership."""

    id: strawberry.ID = strawberry.field(description="Global id of the segment.")
    name: str = strawberry.field(description="Name of the segment.")
    title: str = strawberry.field(description="Title of the segment.")
    since: dt.datetime = strawberry.field(description="When the profile entered it.")


@reached_with("profiles:read")
@strawberry.type(description="A score of a profile under one scheme.")
class ProfileScore:
    """A score."""

    scheme: str = strawberry.field(description="Name of the scoring scheme.")
    value: float = strawberry.field(description="The score.")
    parts: JSON = strawberry.field(description="What it is made of, by name.")
    at: dt.datetime = strawberry.field(description="When it was computed.")


@reached_with("profiles:read")
@strawberry.type(description="What holds for one purpose and channel: an agreement or its withdrawal.")
class ProfileConsent:
    """A consent."""

    purpose: str = strawberry.field(description="marketing, personalisation, sharing or service.")
    channel: str = strawberry.field(description="The channel, or * for all.")
    state: str = strawberry.field(description="granted or withdrawn.")
    at: dt.datetime = strawberry.field(description="Since when.")
    expires_at: dt.datetime | None = strawberry.field(description="Until when, if it ends by itself.")


@reached_with("profiles:read")
@strawberry.type(description="A profile that turned out to be the same person and was absorbed.")
class ProfileMerge:
    """A merge."""

    id: strawberry.ID = strawberry.field(description="Global id of the merge, which `splitProfile` takes.")
    survivor_id: strawberry.ID = strawberry.field(description="Global id of the profile that goes on.")
    absorbed_id: strawberry.ID = strawberry.field(description="Global id of the profile that was absorbed.")
    rule: str = strawberry.field(description="Why they are one, such as shared_identity.")
    evidence: JSON = strawberry.field(description="What showed it; nothing in it identifies the person.")
    merged_at: dt.datetime = strawberry.field(description="When they became one.")
    undone_at: dt.datetime | None = strawberry.field(
        description="When they were parted again; null while they are one."
    )


@reached_with("profiles:read")
@strawberry.type(description="One position of an order.")
class OrderLine:
    """An order line."""

    position: int = strawberry.field(description="Place in the order, from 0.")
    sku: str = strawberry.field(description="The shop's code of the item.")
    title: str = strawberry.field(description="Title of the item.")
    category: str | None = strawberry.field(description="Category of the item.")
    quantity: int = strawberry.field(description="How many pieces.")
    amount: Money = strawberry.field(description="Price of the whole line.")


@reached_with("profiles:read")
@strawberry.type(description="An order as its channel shows it now.")
class Order(Node):
    """An order."""

    source_id: str = strawberry.field(description="The channel's order number.")
    channel: str = strawberry.field(description="Where it was placed.")
    status: str = strawberry.field(description="created, paid, shipped, finished, closed or refunded.")
    amount: Money = strawberry.field(description="What was ordered.")
    paid: Money = strawberry.field(description="What was paid.")
    refunded: Money = strawberry.field(description="What was paid back.")
    region: str | None = strawberry.field(description="Where it was sent to, as the channel wrote it.")
    placed_at: dt.datetime = strawberry.field(description="When it was placed.")
    paid_at: dt.datetime | None = strawberry.field(description="When it was paid; null if it was not.")
    lines: list[OrderLine] = rows(MOST, "Its positions, at most 100.")


@strawberry.enum(description="What kind of thing stands on a timeline.")
class TimelineKind(enum.Enum):
    """Kinds of timeline items."""

    EVENT = strawberry.enum_value("event", description="Something the person did.")
    ORDER = strawberry.enum_value("order", description="An order they placed.")
    TOUCH = strawberry.enum_value("touch", description="A contact with a channel.")
    MESSAGE = strawberry.enum_value("message", description="A message sent to them.")


@reached_with("profiles:read")
@strawberry.type(description="Something that happened to a person.")
class TimelineItem(Node):
    """An entry of a timeline."""

    kind: TimelineKind = strawberry.field(description="What kind of thing.")
    at: dt.datetime = strawberry.field(description="When it happened.")
    type: str = strawberry.field(description="Type of the event, state of the order or message, kind of the touch.")
    channel: str = strawberry.field(description="Where.")
    item: str | None = strawberry.field(description="The item, order number or campaign it is about.")
    amount: Money | None = strawberry.field(description="What it was worth.")


@reached_with("profiles:read")
@strawberry.type(description="One person as this client knows them.")
class Profile(JourneysOfProfile, MessagingOfProfile, Node):
    """A profile."""

    client_id: strawberry.Private[int]
    state: str = strawberry.field(description="active, merged, restricted or erased.")
    name: str | None = strawberry.field(description="The name with all but its first character hidden.")
    gender: str | None = strawberry.field(description="female or male, if known.")
    birth_date: dt.date | None = strawberry.field(description="Date of birth, if known.")
    region: str | None = strawberry.field(description="GB/T 2260 code or name of the home region.")
    language: str | None = strawberry.field(description="Language tag.")
    zone: str | None = strawberry.field(description="IANA time zone, when it differs from the client's.")
    attributes: JSON = strawberry.field(description="Other attributes; none of them identifies the person.")
    created_at: dt.datetime = strawberry.field(description="When the profile was made.")
    changed_at: dt.datetime = strawberry.field(description="When it last changed.")
    identities: list[Identity] = rows(MOST, "What points at this person, at most 100.")
    tags: list[ProfileTag] = rows(MOST, "Labels, at most 100.")
    segments: list[ProfileSegment] = rows(MOST, "Segments the person is in, at most 100.")
    scores: list[ProfileScore] = rows(MOST, "Scores by scheme, at most 100.")
    consents: list[ProfileConsent] = rows(MOST, "Agreements and withdrawals that hold now, at most 100.")
    merged_into: strawberry.ID | None = strawberry.field(
        description="Global id of the profile this one goes on as; null unless its state is merged."
    )
    merges: list[ProfileMerge] = rows(
        MOST, "Profiles that became part of this one, the newest first, undone ones included, at most 100."
    )

    @strawberry.field(description="Orders, the newest first.")
    def orders(
        self, info: strawberry.Info, first: First = strawberry.UNSET, after: After = strawberry.UNSET
    ) -> Connection[Order]:
        from fairlead_graphql.customers import loaders

        page, selection = page_of(first, after, None, None), selection_of(info)
        work = info.context.work(self.client_id)
        return batched(
            self,
            ("orders", first, after, id(selection)),
            lambda numbers: loaders.orders_by_profile(work, numbers, page, selection),
            empty_connection,
        )

    @strawberry.field(description="Everything that happened, the newest first.")
    def timeline(
        self, info: strawberry.Info, first: First = strawberry.UNSET, after: After = strawberry.UNSET
    ) -> Connection[TimelineItem]:
        from fairlead_graphql.customers import loaders

        page, selection = page_of(first, after, None, None), selection_of(info)
        work = info.context.work(self.client_id)
        return batched(
            self,
            ("timeline", first, after, id(selection)),
            lambda numbers: loaders.timeline_by_profile(work, numbers, page, selection),
            empty_connection,
        )
