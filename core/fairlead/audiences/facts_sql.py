"""Conditions on events, orders and touches as SQL, in two shapes that mean the same.

*Correlated*: a subquery per person, one index probe each. Best on SQLite and for a few people on both engines.
*Grouped*: all facts of the condition at once, grouped by person and joined on the outside. Best on PostgreSQL for the
whole base, where ``[NOT] IN`` falls off a cliff when its set outgrows the working memory, and a join does not.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fairlead.audiences.checks import Prepared
from fairlead.audiences.happenings import Aggregate, Happened, OrderTest, Where
from fairlead.audiences.sql import Condition, column_term, compare, joined, json_term
from fairlead.audiences.values import COMPARE, Op, Type, holds
from fairlead.customers.model import Profile
from fairlead.facts.model import Event, Order, OrderLine, Touch

ENTITIES: dict[str, Any] = {"event": Event, "order": Order, "touch": Touch}
TIMES: dict[str, Any] = {"event": Event.at, "order": Order.placed_at, "touch": Touch.at}
LINE_FIELDS: dict[str, Any] = {"item": OrderLine.sku, "category": OrderLine.category}


def correlated(prepared: Prepared, test: Happened) -> Condition:
    """The condition for the row of ``Profile`` outside; never NULL."""
    rows = matching(prepared, test)
    if rows is None:
        return _constant(zero_holds(test.aggregate) is test.did)
    entity = ENTITIES[test.source]
    rows.append(entity.profile_id == Profile.id)
    if test.aggregate is None:
        query = sa.select(sa.literal(1)).select_from(entity).where(*rows).correlate(Profile)
        return sa.exists(query) if test.did else sa.not_(sa.exists(query))
    number = sa.select(over(test.aggregate, entity)).select_from(entity).where(*rows).correlate(Profile)
    return number.scalar_subquery() if test.did else sa.not_(number.scalar_subquery())


def grouped(prepared: Prepared, test: Happened) -> tuple[sa.Subquery | None, Condition]:
    """A subquery to be joined from the outside by its ``profile_id``, and the condition on what the join gives.

    Who has no fact at all is not in any group. Where nothing already satisfies the comparison (``count < 3``), the
    subquery therefore holds those who do *not* satisfy it.
    """
    zero = zero_holds(test.aggregate)
    rows = matching(prepared, test)
    if rows is None:
        return None, _constant(zero is test.did)
    entity = ENTITIES[test.source]
    query = sa.select(entity.profile_id).where(*rows, entity.profile_id.is_not(None)).group_by(entity.profile_id)
    if test.aggregate is not None:
        reached = over(test.aggregate, entity)
        query = query.having(sa.not_(reached) if zero else reached)
    found = query.subquery()
    return found, found.c.profile_id.is_not(None) if test.did is not zero else found.c.profile_id.is_(None)


def matching(prepared: Prepared, test: Happened) -> list[Condition] | None:
    """What a fact must satisfy to count; ``None`` when none can, because its type never occurred."""
    entity, time = ENTITIES[test.source], TIMES[test.source]
    rows: list[Condition] = [entity.client_id == prepared.client_id]
    if test.source == "event":
        code = prepared.events.get(test.type)  # type: ignore[attr-defined]
        if code is None:
            return None
        rows.append(Event.type_code == code)
    start, end = test.window.bounds(prepared.now)
    if start is not None:
        rows.append(time >= start)
    rows.append(time < end)
    if isinstance(test, OrderTest) and test.status:
        rows.append(Order.status.in_(test.status))
    if test.source == "order" and test.uses_money:
        rows.append(Order.currency == (getattr(test, "currency", None) or prepared.currency))
    lines = [where for where in test.where if test.source == "order" and where.field in LINE_FIELDS]
    others = [_where(prepared, entity, where) for where in test.where if where not in lines]
    if others:
        rows.append(joined(sa.and_, others))
    if lines:
        rows.append(_some_line(prepared, lines))
    return rows


def _where(prepared: Prepared, entity: Any, where: Where) -> Condition:
    if where.field is None:
        return compare(json_term(entity.properties, where.key or ""), Type.JSON, where.op, where.value)
    if where.field == "channel":
        # Names are compared here and not in SQL: there are few, and the column holds their codes.
        fitting = [code for name, code in prepared.channels.items() if holds(Type.TEXT, where.op, name, where.value)]
        return entity.channel_code.in_(fitting)  # type: ignore[no-any-return]
    return compare(column_term(getattr(entity, where.field), where.type), where.type, where.op, where.value)


def _some_line(prepared: Prepared, lines: list[Where]) -> Condition:
    conditions = [
        compare(column_term(LINE_FIELDS[str(where.field)], Type.TEXT), Type.TEXT, where.op, where.value)
        for where in lines
    ]
    owned = (OrderLine.client_id == prepared.client_id, OrderLine.order_id == Order.id)
    fits = joined(sa.and_, conditions)
    return sa.exists(sa.select(sa.literal(1)).select_from(OrderLine).where(*owned, fits).correlate(Order))


# -- numbers over facts -----------------------------------------------------------------------------------------------


def over(aggregate: Aggregate, entity: Any) -> Condition:
    """The comparison of a number over a group of facts; never NULL, whatever the group holds."""
    if aggregate.function == "count":
        return _compare(aggregate, sa.func.count(), 1)
    if aggregate.function == "distinct":
        column = entity.channel_code if aggregate.target == "channel" else getattr(entity, aggregate.target)
        return _compare(aggregate, sa.func.count(sa.distinct(column)), 1)
    column = getattr(entity, aggregate.target)
    if aggregate.function == "sum":
        return _compare(aggregate, sa.func.coalesce(sa.func.sum(column), 0), 1)
    known = sa.func.count(column)
    if aggregate.function == "avg":
        # A mean against a value is a sum against a multiple of it, which is exact on both engines and in memory.
        return sa.and_(known > 0, _compare(aggregate, sa.func.sum(column), known))
    extreme = sa.func.min(column) if aggregate.function == "min" else sa.func.max(column)
    return sa.and_(known > 0, _compare(aggregate, extreme, 1))


def _compare(aggregate: Aggregate, number: Any, times: Any) -> Condition:
    def wanted(value: int) -> Any:
        bound = sa.literal(value, sa.BigInteger)
        return bound if isinstance(times, int) else sa.cast(bound, sa.Numeric) * times

    if aggregate.op is Op.BETWEEN:
        low, high = aggregate.value
        return sa.and_(number >= wanted(low), number <= wanted(high))
    return COMPARE[aggregate.op](number, wanted(aggregate.value))  # type: ignore[return-value]


def zero_holds(aggregate: Aggregate | None) -> bool:
    """Whether somebody without any matching fact satisfies the comparison."""
    if aggregate is None or aggregate.function in ("avg", "min", "max"):
        return False
    return holds(Type.INTEGER, aggregate.op, 0, aggregate.value)


def _constant(value: bool) -> Condition:
    return sa.true() if value else sa.false()
