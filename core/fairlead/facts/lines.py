"""The lines of orders: they change with their order, as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from fairlead.customers.heirs import cut
from fairlead.facts import codes
from fairlead.facts.model import Order, OrderLine
from fairlead.plugins.contracts.channel import OrderLineRecord
from fairlead.storage import bulk
from fairlead.storage.types import to_millis
from fairlead.work import Work

LOOKUP = 5000
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one state of an order; ``changed_at`` is in epoch milliseconds, ``amount`` in minor units."""

    channel: str
    source_id: str
    changed_at: int
    amount: int
    lines: Sequence[OrderLineRecord]


def store_lines(work: Work, states: Sequence[Lines]) -> None:
    """Let orders that stand in one of these states have its lines and no others.

    A state that is older than the stored one changes nothing, and one without lines leaves those there are.
    """
    newest: dict[Key, Lines] = {}
    for state in states:
        known = newest.get((state.channel, state.source_id))
        if known is None or state.changed_at > known.changed_at:
            newest[state.channel, state.source_id] = state
    stored = _stored(work, list(newest))
    standing = [
        (stored[key][0], state)
        for key, state in newest.items()
        if state.lines and stored[key][1:] == (state.changed_at, state.amount)
    ]
    for part in cut(order_id for order_id, _ in standing):
        work.session.execute(
            sa.delete(OrderLine).where(OrderLine.order_id.in_(part)), execution_options={"synchronize_session": False}
        )
    rows = [(order_id, at, line) for order_id, state in standing for at, line in enumerate(state.lines)]
    columns: bulk.Columns = {
        "order_id": [order_id for order_id, _, _ in rows],
        "position": [at for _, at, _ in rows],
        "sku": [line.sku[:80] for _, _, line in rows],
        "title": [line.title[:200] for _, _, line in rows],
        "category": [line.category or None for _, _, line in rows],
        "quantity": [line.quantity for _, _, line in rows],
        "amount": [line.amount for _, _, line in rows],
    }
    bulk.insert(work.session, OrderLine, columns, ignore_known=True)


def _stored(work: Work, keys: Sequence[Key]) -> dict[Key, tuple[int, int, int]]:
    """Id, instant of the last change and amount of orders that are there."""
    known = codes.codes_for(work, codes.CHANNEL, {channel for channel, _ in keys})
    names = {code: channel for channel, code in known.items()}
    found: dict[Key, tuple[int, int, int]] = {}
    wanted = sorted({source_id for _, source_id in keys})
    for start in range(0, len(wanted), LOOKUP):
        rows = work.session.execute(
            sa.select(Order.channel_code, Order.source_id, Order.id, Order.changed_at, Order.amount).where(
                Order.channel_code.in_(names), Order.source_id.in_(wanted[start : start + LOOKUP])
            )
        )
        for code, source_id, order_id, changed_at, amount in rows:
            found[names[code], source_id] = (order_id, to_millis(changed_at), amount)
    return found
