"""Refunds that come apart from their orders: an event each, and the order's refund goes up by the new ones."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.facts import codes
from fairlead.facts.fingerprint import fingerprints
from fairlead.facts.ingest import Taken
from fairlead.facts.model import Event, Order
from fairlead.storage import bulk, ids
from fairlead.storage.locks import lock
from fairlead.work import Work

REFUND = "refund"
LOOKUP = 5000


def find_orders(work: Work, channels: Sequence[str], order_ids: Sequence[str]) -> list[Order | None]:
    """The order behind each channel and order number, ``None`` where there is none.

    Nobody else refunds until the transaction ends, so what is read here is what :func:`take_refunds` adds to.
    """
    lock(work.session, f"refunds/{work.client_id}")
    known = codes.known_codes(work, codes.CHANNEL)
    found: dict[tuple[int, str], Order] = {}
    wanted = sorted(set(order_ids))
    for start in range(0, len(wanted), LOOKUP):
        for order in work.session.scalars(
            sa.select(Order).where(
                Order.channel_code.in_(known.values()), Order.source_id.in_(wanted[start : start + LOOKUP])
            )
        ):
            found[order.channel_code, order.source_id] = order
    pairs = zip(channels, order_ids, strict=True)
    return [found.get((known.get(channel, -1), order_id)) for channel, order_id in pairs]


def take_refunds(
    work: Work,
    source: str,
    source_ids: Sequence[str],
    orders: Sequence[Order],
    at: Sequence[int],
    amounts: Sequence[int],
    import_id: int | None = None,
) -> Taken:
    """Store refunds of orders from :func:`find_orders` and add the new ones to them, never beyond what was paid."""
    # A shop may number its refunds as it numbers its events.
    marks = fingerprints(f"{source}/{REFUND}", source_ids)
    known: set[bytes] = set()
    for start in range(0, len(marks), LOOKUP):
        rows = work.session.scalars(
            sa.select(Event.fingerprint).where(Event.fingerprint.in_(marks[start : start + LOOKUP]))
        )
        known.update(bytes(row) for row in rows)
    fresh = {mark: place for place, mark in enumerate(marks) if mark not in known}
    places = list(fresh.values())
    picked = [orders[place] for place in places]
    for order, place in zip(picked, places, strict=True):
        order.refund_amount = min(order.refund_amount + amounts[place], order.paid_amount)
        if order.refund_amount == order.paid_amount:
            order.status = "refunded"
    work.session.flush()
    type_code = codes.codes_for(work, codes.EVENT, (REFUND,))[REFUND]
    stored = bulk.insert(
        work.session,
        Event,
        {
            "id": ids.reserve(work.session.connection(), len(places)),
            "fingerprint": list(fresh),
            "profile_id": [order.profile_id for order in picked],
            "identity_id": [order.identity_id for order in picked],
            "type_code": [type_code] * len(places),
            "channel_code": [order.channel_code for order in picked],
            "at": [at[place] for place in places],
            "amount": [amounts[place] for place in places],
            "item": [order.source_id for order in picked],
            "import_id": [import_id] * len(places),
        },
    )
    return Taken(stored, len(marks) - stored, 0, 0, 0)
