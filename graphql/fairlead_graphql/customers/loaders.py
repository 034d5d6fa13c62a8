"""How profiles and what belongs to them are read, in sets: named by what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
import strawberry

from fairlead.audiences.model import ProfileTag as TagRow
from fairlead.audiences.model import Score, Segment, SegmentMember, Tag
from fairlead.clients.model import Client
from fairlead.customers.identifiers import mask, mask_name
from fairlead.customers.model import Consent, Identity, Profile, ProfileMerge
from fairlead.facts import codes
from fairlead.facts.model import Event, Order, OrderLine, Touch
from fairlead.messaging.model import Message
from fairlead.storage.types import Sealed, from_millis
from fairlead.work import Work
from fairlead_graphql.customers import types
from fairlead_graphql.ids import to_global
from fairlead_graphql.listing import (
    Children,
    Column,
    Connection,
    Page,
    Plan,
    read_all,
    read_lists,
    read_nested,
    read_page,
)
from fairlead_graphql.nesting import read_under
from fairlead_graphql.scalars import money
from fairlead_graphql.selection import Selection


def _open_name(work: Work, name: Sealed | None) -> str | None:
    return None if name is None else mask_name(work.vault.open(work.client_id, "profile.name", name))


def _open_identity(work: Work, kind: str, value: Sealed) -> str:
    return mask(kind, work.vault.open(work.client_id, "identity.value", value))


IDENTITY = Plan(
    types.Identity,
    Identity.id,
    {
        "kind": Column((Identity.kind,)),
        "scope": Column((Identity.scope,)),
        "masked": Column((Identity.kind, Identity.value), _open_identity),
        "strong": Column((Identity.strong,)),
        "state": Column((Identity.state,)),
        "source": Column((Identity.source,)),
        "createdAt": Column((Identity.created_at,)),
    },
)


def identities_by_profile(work: Work, profiles: Sequence[int], selection: Selection) -> dict[int, list[types.Identity]]:
    """Identities per profile, the oldest first."""
    return read_lists(work, IDENTITY, sa.select(Identity), Identity.profile_id, profiles, selection, Identity.id)


TAG = Plan(
    types.ProfileTag,
    Tag.id,
    {
        "name": Column((Tag.name,)),
        "level": Column((Tag.level,)),
        "since": Column((TagRow.at,)),
        "source": Column((TagRow.source,)),
    },
    ids_of="Tag",
)


def tags_by_profile(work: Work, profiles: Sequence[int], selection: Selection) -> dict[int, list[types.ProfileTag]]:
    """Tags per profile, by name."""
    query = sa.select(TagRow).join(Tag, sa.and_(Tag.client_id == TagRow.client_id, Tag.id == TagRow.tag_id))
    return read_lists(work, TAG, query, TagRow.profile_id, profiles, selection, Tag.name)


SEGMENT = Plan(
    types.ProfileSegment,
    Segment.id,
    {
        "name": Column((Segment.name,)),
        "title": Column((Segment.title,)),
        "since": Column((SegmentMember.since,)),
    },
    ids_of="Segment",
)


def segments_by_profile(
    work: Work, profiles: Sequence[int], selection: Selection
) -> dict[int, list[types.ProfileSegment]]:
    """Segments per profile, by name."""
    joined = sa.and_(Segment.client_id == SegmentMember.client_id, Segment.id == SegmentMember.segment_id)
    query = sa.select(SegmentMember).join(Segment, joined).where(Segment.state == "active")
    return read_lists(work, SEGMENT, query, SegmentMember.profile_id, profiles, selection, Segment.name)


SCORE = Plan(
    types.ProfileScore,
    Score.profile_id,
    {
        "scheme": Column((Score.scheme,)),
        "value": Column((Score.value,)),
        "parts": Column((Score.parts,)),
        "at": Column((Score.at,)),
    },
)


def scores_by_profile(work: Work, profiles: Sequence[int], selection: Selection) -> dict[int, list[types.ProfileScore]]:
    """Scores per profile, by scheme."""
    return read_lists(work, SCORE, sa.select(Score), Score.profile_id, profiles, selection, Score.scheme)


CONSENT = Plan(
    types.ProfileConsent,
    Consent.id,
    {
        "purpose": Column((Consent.purpose,)),
        "channel": Column((Consent.channel,)),
        "state": Column((Consent.state,)),
        "at": Column((Consent.at,)),
        "expiresAt": Column((Consent.expires_at,)),
    },
)


def consents_by_profile(
    work: Work, profiles: Sequence[int], selection: Selection
) -> dict[int, list[types.ProfileConsent]]:
    """What holds per profile, by purpose and channel."""
    order = (Consent.purpose, Consent.channel)
    return read_lists(work, CONSENT, sa.select(Consent), Consent.profile_id, profiles, selection, *order)


def _profile_id(_work: Work, number: int | None) -> strawberry.ID | None:
    return None if number is None else to_global("Profile", number)


MERGE = Plan(
    types.ProfileMerge,
    ProfileMerge.id,
    {
        "survivorId": Column((ProfileMerge.survivor_id,), _profile_id),
        "absorbedId": Column((ProfileMerge.absorbed_id,), _profile_id),
        "rule": Column((ProfileMerge.rule,)),
        "evidence": Column((ProfileMerge.evidence,)),
        "mergedAt": Column((ProfileMerge.merged_at,)),
        "undoneAt": Column((ProfileMerge.undone_at,)),
    },
)


def merges_by_profile(work: Work, profiles: Sequence[int], selection: Selection) -> dict[int, list[types.ProfileMerge]]:
    """What each profile absorbed, the newest first."""
    query, newest = sa.select(ProfileMerge), ProfileMerge.id.desc()
    return read_lists(work, MERGE, query, ProfileMerge.survivor_id, profiles, selection, newest)


PROFILE = Plan(
    types.Profile,
    Profile.id,
    {
        "state": Column((Profile.state,)),
        "name": Column((Profile.name,), _open_name),
        "gender": Column((Profile.gender,)),
        "birthDate": Column((Profile.birth_date,)),
        "region": Column((Profile.region,)),
        "language": Column((Profile.language,)),
        "zone": Column((Profile.zone,)),
        "attributes": Column((Profile.attributes,)),
        "createdAt": Column((Profile.created_at,)),
        "changedAt": Column((Profile.changed_at,)),
        "mergedInto": Column((Profile.merged_into,), _profile_id),
    },
    {
        "identities": Children(identities_by_profile),
        "tags": Children(tags_by_profile),
        "segments": Children(segments_by_profile),
        "scores": Children(scores_by_profile),
        "consents": Children(consents_by_profile),
        "merges": Children(merges_by_profile),
    },
    {"clientId": Profile.client_id},
)


# -- orders ---------------------------------------------------------------------------------------------------------


def _money(_work: Work, amount: int | None, currency: str) -> Any:
    return money(amount, currency)


LINE = Plan(
    types.OrderLine,
    OrderLine.order_id,
    {
        "position": Column((OrderLine.position,)),
        "sku": Column((OrderLine.sku,)),
        "title": Column((OrderLine.title,)),
        "category": Column((OrderLine.category,)),
        "quantity": Column((OrderLine.quantity,)),
        "amount": Column((OrderLine.amount, Order.currency), _money),
    },
)


def _lines_by_order(work: Work, orders: Sequence[int], selection: Selection) -> dict[int, list[types.OrderLine]]:
    query = sa.select(OrderLine).join(
        Order, sa.and_(Order.client_id == OrderLine.client_id, Order.id == OrderLine.order_id)
    )
    return read_lists(work, LINE, query, OrderLine.order_id, orders, selection, OrderLine.position)


def _channel_name(work: Work, code: int) -> str:
    return channel_names(work).get(code, "")


def channel_names(work: Work) -> dict[int, str]:
    """Names of the client's channels by code, read once per session."""
    kept: dict[int, str] | None = work.session.info.get("channel_names")
    if kept is None:
        kept = work.session.info["channel_names"] = codes.names_by_code(work, codes.CHANNEL)
    return kept


ORDER = Plan(
    types.Order,
    Order.id,
    {
        "sourceId": Column((Order.source_id,)),
        "channel": Column((Order.channel_code,), _channel_name),
        "status": Column((Order.status,)),
        "amount": Column((Order.amount, Order.currency), _money),
        "paid": Column((Order.paid_amount, Order.currency), _money),
        "refunded": Column((Order.refund_amount, Order.currency), _money),
        "region": Column((Order.region,)),
        "placedAt": Column((Order.placed_at,)),
        "paidAt": Column((Order.paid_at,)),
    },
    {"lines": Children(_lines_by_order)},
)


def orders_by_profile(
    work: Work, profiles: Sequence[int], page: Page, selection: Selection
) -> dict[int, Connection[types.Order]]:
    """A page of orders per profile, the newest first."""
    parent, key = Order.profile_id, Order.placed_at
    return read_under(work, ORDER, sa.select(Order), parent, profiles, key, page, selection, descending=True)


def read_orders(work: Work, page: Page, selection: Selection) -> Connection[types.Order]:
    """A page of all orders of the client, the newest first."""
    return read_page(work, ORDER, sa.select(Order), Order.placed_at, page, selection, descending=True)


# -- timeline -------------------------------------------------------------------------------------------------------


def timeline_by_profile(
    work: Work, profiles: Sequence[int], page: Page, selection: Selection
) -> dict[int, Connection[types.TimelineItem]]:
    """A page of everything that happened per profile, the newest first, from four tables in one statement."""
    happened = _happenings(work, "profile_id", profiles).subquery()
    plan = _timeline_plan(happened)
    return read_nested(
        work, plan, sa.select(happened), happened.c.profile_id, happened.c.at, page, selection, descending=True
    )


HAPPENINGS = (Event, Order, Touch, Message)


def timeline_items(work: Work, numbers: Sequence[int], selection: Selection) -> list[types.TimelineItem]:
    """Items by their own numbers, whoever's they are."""
    happened = _happenings(work, "id", numbers).subquery()
    return read_all(work, _timeline_plan(happened), sa.select(happened), selection)


def _timeline_plan(happened: sa.Subquery) -> Plan:
    currency = sa.select(Client.currency).scalar_subquery()
    return Plan(
        types.TimelineItem,
        happened.c.id,
        {
            "kind": Column((happened.c.kind,), lambda _work, kind: types.TimelineKind(kind)),
            "at": Column((happened.c.at,), lambda _work, at: from_millis(at)),
            "type": Column((happened.c.type, happened.c.kind), _type_name),
            "channel": Column((happened.c.channel_code, happened.c.channel), _either_channel),
            "item": Column((happened.c.item,)),
            "amount": Column((happened.c.amount, happened.c.currency, currency), _worth),
        },
    )


def _happenings(work: Work, column: str, numbers: Sequence[int]) -> sa.CompoundSelect[Any]:
    nothing = sa.null()
    big, text = sa.BigInteger, sa.String
    names = ("id", "profile_id", "at", "kind", "type", "channel_code", "channel", "item", "amount", "currency")

    def part(entity: Any, at: Any, *values: Any) -> sa.Select[Any]:
        found = (entity.id, entity.profile_id, sa.type_coerce(at, big), *values)
        chosen = sa.select(*(value.label(name) for value, name in zip(found, names, strict=True)))
        return chosen.where(entity.client_id == work.client_id, getattr(entity, column).in_(numbers))

    none_big, none_text = sa.cast(nothing, big), sa.cast(nothing, text)
    return sa.union_all(
        part(
            Event,
            Event.at,
            sa.literal("event"),
            sa.cast(Event.type_code, text),
            Event.channel_code,
            none_text,
            Event.item,
            Event.amount,
            none_text,
        ),
        part(
            Order,
            Order.placed_at,
            sa.literal("order"),
            Order.status,
            Order.channel_code,
            none_text,
            Order.source_id,
            Order.amount,
            Order.currency,
        ),
        part(
            Touch,
            Touch.at,
            sa.literal("touch"),
            Touch.kind,
            Touch.channel_code,
            none_text,
            Touch.campaign,
            none_big,
            none_text,
        ),
        part(
            Message,
            sa.func.coalesce(Message.sent_at, Message.created_at),
            sa.literal("message"),
            Message.state,
            none_big,
            Message.channel,
            none_text,
            none_big,
            none_text,
        ),
    )


def _type_name(work: Work, type_: str, kind: str) -> str:
    if kind != "event":
        return type_
    kept: dict[int, str] | None = work.session.info.get("event_names")
    if kept is None:
        kept = work.session.info["event_names"] = codes.names_by_code(work, codes.EVENT)
    return kept.get(int(type_), type_)


def _either_channel(work: Work, code: int | None, name: str | None) -> str:
    return name or "" if code is None else _channel_name(work, code)


def _worth(_work: Work, amount: int | None, own: str | None, clients: str) -> Any:
    return money(amount, own or clients)
