"""How profiles and what belongs to them are read, in sets: named by what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.audiences.model import ProfileTag as TagRow
from fairlead.audiences.model import Score, Segment, SegmentMember, Tag
from fairlead.clients.model import Client
from fairlead.customers.identifiers import mask, mask_name
from fairlead.customers.model import Consent, Identity, Profile
from fairlead.facts import codes
from fairlead.facts.model import Event, Order, OrderLine, Touch
from fairlead.messaging.model import Message
from fairlead.storage.types import Sealed, from_millis
from fairlead.work import Work
from fairlead_graphql.customers import types
from fairlead_graphql.ids import to_global
from fairlead_graphql.listing import Children, Column, Connection, Page, Plan, read_all, read_by, read_nested, read_page
from fairlead_graphql.scalars import money
from fairlead_graphql.selection import Selection

MOST_NESTED = 100


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
    place = sa.func.row_number().over(partition_by=Identity.profile_id, order_by=Identity.id).label("place")
    ranked = sa.select(Identity.id, place).where(Identity.profile_id.in_(profiles)).subquery()
    query = (
        sa.select(Identity)
        .join(ranked, ranked.c.id == Identity.id)
        .where(ranked.c.place <= MOST_NESTED)
        .order_by(Identity.profile_id, Identity.id)
    )
    return read_by(work, IDENTITY, query, Identity.profile_id, selection)


def tags_by_profile(work: Work, profiles: Sequence[int], _selection: Selection) -> dict[int, list[types.ProfileTag]]:
    """Tags per profile, by name."""
    rows = work.session.execute(
        sa.select(TagRow.profile_id, Tag.id, Tag.name, Tag.level, TagRow.at, TagRow.source)
        .join(Tag, sa.and_(Tag.client_id == TagRow.client_id, Tag.id == TagRow.tag_id))
        .where(TagRow.profile_id.in_(profiles))
        .order_by(TagRow.profile_id, Tag.name)
    )
    return _grouped(rows, types.ProfileTag, ("id", "name", "level", "since", "source"), "Tag")


def segments_by_profile(
    work: Work, profiles: Sequence[int], _selection: Selection
) -> dict[int, list[types.ProfileSegment]]:
    """Segments per profile, by name."""
    rows = work.session.execute(
        sa.select(SegmentMember.profile_id, Segment.id, Segment.name, Segment.title, SegmentMember.since)
        .join(Segment, sa.and_(Segment.client_id == SegmentMember.client_id, Segment.id == SegmentMember.segment_id))
        .where(SegmentMember.profile_id.in_(profiles), Segment.state == "active")
        .order_by(SegmentMember.profile_id, Segment.name)
    )
    return _grouped(rows, types.ProfileSegment, ("id", "name", "title", "since"), "Segment")


def scores_by_profile(
    work: Work, profiles: Sequence[int], _selection: Selection
) -> dict[int, list[types.ProfileScore]]:
    """Scores per profile, by scheme."""
    rows = work.session.execute(
        sa.select(Score.profile_id, Score.scheme, Score.value, Score.parts, Score.at)
        .where(Score.profile_id.in_(profiles))
        .order_by(Score.profile_id, Score.scheme)
    )
    return _grouped(rows, types.ProfileScore, ("scheme", "value", "parts", "at"))


def consents_by_profile(
    work: Work, profiles: Sequence[int], _selection: Selection
) -> dict[int, list[types.ProfileConsent]]:
    """What holds per profile, by purpose and channel."""
    rows = work.session.execute(
        sa.select(Consent.profile_id, Consent.purpose, Consent.channel, Consent.state, Consent.at, Consent.expires_at)
        .where(Consent.profile_id.in_(profiles))
        .order_by(Consent.profile_id, Consent.purpose, Consent.channel)
    )
    return _grouped(rows, types.ProfileConsent, ("purpose", "channel", "state", "at", "expires_at"))


def _grouped(rows: Any, type_: type[Any], names: tuple[str, ...], id_of: str = "") -> dict[int, list[Any]]:
    groups: dict[int, list[Any]] = {}
    for parent, *values in rows:
        item = object.__new__(type_)
        item.__dict__.update(zip(names, values, strict=True))
        if id_of:
            item.__dict__["id"] = to_global(id_of, item.__dict__["id"])
        group = groups.setdefault(parent, [])
        if len(group) < MOST_NESTED:
            group.append(item)
    return groups


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
    },
    {
        "identities": Children(identities_by_profile),
        "tags": Children(tags_by_profile),
        "segments": Children(segments_by_profile),
        "scores": Children(scores_by_profile),
        "consents": Children(consents_by_profile),
    },
    {"clientId": Profile.client_id},
)


# -- orders ---------------------------------------------------------------------------------------------------------


def _money(_work: Work, amount: int | None, currency: str) -> Any:
    return money(amount, currency)


def _lines_by_order(work: Work, orders: Sequence[int], _selection: Selection) -> dict[int, list[types.OrderLine]]:
    rows = work.session.execute(
        sa.select(
            OrderLine.order_id,
            OrderLine.position,
            OrderLine.sku,
            OrderLine.title,
            OrderLine.category,
            OrderLine.quantity,
            OrderLine.amount,
            Order.currency,
        )
        .join(Order, Order.id == OrderLine.order_id)
        .where(OrderLine.order_id.in_(orders))
        .order_by(OrderLine.order_id, OrderLine.position)
    )
    plain = ((order, *values, money(amount, currency)) for order, *values, amount, currency in rows)
    return _grouped(plain, types.OrderLine, ("position", "sku", "title", "category", "quantity", "amount"))


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
    query = sa.select(Order).where(Order.profile_id.in_(profiles))
    return read_nested(work, ORDER, query, Order.profile_id, Order.placed_at, page, selection, descending=True)


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
