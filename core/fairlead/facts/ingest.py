"""The one door for facts: columns in, rows stored once, people linked.

Every source (file, channel sync, HTTP) ends here. A fact is known by ``(source, source id)``; the same again changes
nothing, except that an order takes the newer state. All arrays of one call have one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from fairlead.customers.identifiers import normalise
from fairlead.customers.linking import ClaimColumn, Linked, link
from fairlead.facts import codes
from fairlead.facts.fingerprint import fingerprints
from fairlead.facts.lines import Lines, store_lines
from fairlead.facts.model import Event, Order, Touch
from fairlead.plugins.contracts.channel import OrderRecord
from fairlead.storage import bulk, ids
from fairlead.storage.types import to_millis
from fairlead.work import Work

T = TypeVar("T")
IntArray = npt.NDArray[np.int64]
LOOKUP = 5000


@dataclass(frozen=True, slots=True)
class Taken:
    """How many facts were new, how many were known already, and what linking did."""

    stored: int
    known: int
    profiles_created: int
    profiles_merged: int
    identities_blocked: int


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events by column; ``at`` in epoch milliseconds, ``amounts`` in minor units, ``properties`` as JSON text."""

    source_ids: Sequence[str]
    types: Sequence[str]
    channels: Sequence[str]
    at: Sequence[int]
    claims: Sequence[ClaimColumn]
    amounts: Sequence[int | None] | None = None
    items: Sequence[str | None] | None = None
    categories: Sequence[str | None] | None = None
    properties: Sequence[str | None] | None = None


@dataclass(frozen=True, slots=True)
class TouchColumns:
    """Touches by column. Rows without a usable identity cannot be kept: a touch is a person's."""

    source_ids: Sequence[str]
    kinds: Sequence[str]
    channels: Sequence[str]
    at: Sequence[int]
    claims: Sequence[ClaimColumn]
    campaigns: Sequence[str | None] | None = None


@dataclass(frozen=True, slots=True)
class OrderColumns:
    """Orders by column; money in minor units of ``currencies``, instants in epoch milliseconds.

    A source that says nothing about refunds gives no ``refund_amounts``, and those that came apart stay.
    """

    source_ids: Sequence[str]
    channels: Sequence[str]
    statuses: Sequence[str]
    currencies: Sequence[str]
    amounts: Sequence[int]
    paid_amounts: Sequence[int]
    placed_at: Sequence[int]
    paid_at: Sequence[int | None]
    changed_at: Sequence[int]
    claims: Sequence[ClaimColumn]
    refund_amounts: Sequence[int] | None = None
    regions: Sequence[str | None] | None = None
    properties: Sequence[str | None] | None = None


def take_events(work: Work, source: str, rows: EventColumns, import_id: int | None = None) -> Taken:
    """Store events and link their people."""
    linked = link(work, rows.claims, source) if rows.claims else _nobody(len(rows.at))
    count = len(rows.at)
    stored = bulk.insert(
        work.session,
        Event,
        {
            "id": ids.reserve(work.session.connection(), count),
            "fingerprint": fingerprints(source, rows.source_ids),
            "profile_id": _nullable(linked.profile_ids),
            "identity_id": _nullable(linked.identity_ids),
            "type_code": _coded(work, codes.EVENT, rows.types),
            "channel_code": _coded(work, codes.CHANNEL, rows.channels),
            "at": rows.at,
            "amount": rows.amounts or [None] * count,
            "item": rows.items or [None] * count,
            "category": rows.categories or [None] * count,
            "properties": rows.properties or [None] * count,
            "import_id": [import_id] * count,
        },
        ignore_known=True,
    )
    return _taken(stored, count, linked)


def take_touches(work: Work, source: str, rows: TouchColumns, import_id: int | None = None) -> tuple[Taken, Linked]:
    """Store touches and link their people; rows that turn out to be nobody's are left out and not counted."""
    linked = link(work, rows.claims, source)
    keep = np.flatnonzero(linked.profile_ids > 0)
    count = len(keep)
    stored = bulk.insert(
        work.session,
        Touch,
        {
            "id": ids.reserve(work.session.connection(), count),
            "fingerprint": fingerprints(source, _pick(rows.source_ids, keep)),
            "profile_id": linked.profile_ids[keep],
            "identity_id": linked.identity_ids[keep],
            "channel_code": np.asarray(_coded(work, codes.CHANNEL, rows.channels))[keep],
            "kind": _pick(rows.kinds, keep),
            "at": _pick(rows.at, keep),
            "campaign": _pick(rows.campaigns, keep) if rows.campaigns else [None] * count,
            "import_id": [import_id] * count,
        },
        ignore_known=True,
    )
    return _taken(stored, count, linked), linked


def take_orders(work: Work, rows: OrderColumns, source: str, import_id: int | None = None) -> tuple[Taken, Linked]:
    """Store orders and link their people; a known order takes the newer ``changed_at``, never an older one."""
    count = len(rows.source_ids)
    linked = link(work, rows.claims, source) if rows.claims else _nobody(count)
    values: dict[str, Sequence[object] | IntArray] = {
        "id": ids.reserve(work.session.connection(), count),
        "source_id": rows.source_ids,
        "profile_id": _nullable(linked.profile_ids),
        "identity_id": _nullable(linked.identity_ids),
        "channel_code": _coded(work, codes.CHANNEL, rows.channels),
        "status": rows.statuses,
        "currency": rows.currencies,
        "amount": rows.amounts,
        "paid_amount": rows.paid_amounts,
        "refund_amount": rows.refund_amounts or [0] * count,
        "placed_at": rows.placed_at,
        "paid_at": rows.paid_at,
        "changed_at": rows.changed_at,
        "region": rows.regions or [None] * count,
        "properties": rows.properties or [None] * count,
        "import_id": [import_id] * count,
    }
    stored = bulk.insert(
        work.session,
        Order,
        values,
        newer_wins=bulk.NewerWins(
            key=("channel_code", "source_id"),
            version="changed_at",
            keep=("id", "import_id", *(() if rows.refund_amounts else ("refund_amount",))),
            fill=("profile_id", "identity_id"),
        ),
    )
    return _taken(stored, count, linked), linked


def take_order_records(work: Work, channel: str, records: Sequence[OrderRecord]) -> Taken:
    """Store orders as a channel plugin yields them, with their lines."""
    if not records:
        return Taken(0, 0, 0, 0, 0)
    taken, _ = take_orders(
        work,
        OrderColumns(
            source_ids=[record.source_id for record in records],
            channels=[channel] * len(records),
            statuses=[record.status for record in records],
            currencies=[record.currency for record in records],
            amounts=[record.amount for record in records],
            paid_amounts=[record.paid_amount for record in records],
            refund_amounts=[record.refund_amount for record in records],
            placed_at=[to_millis(record.created_at) for record in records],
            paid_at=[to_millis(record.paid_at) if record.paid_at else None for record in records],
            changed_at=[to_millis(record.updated_at) for record in records],
            claims=_claims_of(records),
            regions=[record.region[:40] or None for record in records],
            properties=[
                orjson.dumps(dict(record.properties)).decode() if record.properties else None for record in records
            ],
        ),
        source=channel,
    )
    states = [
        Lines(channel, record.source_id, to_millis(record.updated_at), record.amount, record.lines)
        for record in records
    ]
    store_lines(work, states)
    return taken


def _claims_of(records: Sequence[OrderRecord]) -> list[ClaimColumn]:
    kinds = dict.fromkeys((claim.kind, claim.scope) for record in records for claim in record.identities)
    columns = []
    for kind, scope in kinds:
        values: list[str | None] = [None] * len(records)
        for at, record in enumerate(records):
            for claim in record.identities:
                if (claim.kind, claim.scope) == (kind, scope):
                    values[at] = normalise(kind, claim.value)
        columns.append(ClaimColumn(kind, values, scope))
    return columns


def _coded(work: Work, domain: str, names: Sequence[str]) -> list[int]:
    known = codes.codes_for(work, domain, set(names))
    return [known[name] for name in names]


def _nullable(values: IntArray) -> list[int | None]:
    return [value or None for value in values.tolist()]


def _nobody(count: int) -> Linked:
    return Linked(np.zeros(count, np.int64), np.zeros(count, np.int64))


def _pick(values: Sequence[T], at: IntArray) -> list[T]:
    return [values[index] for index in at.tolist()]


def _taken(stored: int, count: int, linked: Linked) -> Taken:
    return Taken(stored, count - stored, linked.created, linked.merged, linked.blocked)
