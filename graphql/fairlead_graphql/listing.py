"""Lists by look-ahead: one statement selects exactly the columns an operation asks for, one more per nested list.

A :class:`Plan` says how each field of a type is read. Objects are made with plain attributes and without their
constructor, so fields are default-resolved; a field nobody asked for is simply not there. Pages are keyset pages:
``(sort key, id)`` of the last row is the cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from fairlead.errors import InvalidInput
from fairlead.storage.types import Instant, from_millis
from fairlead.work import Work
from fairlead_graphql.ids import to_global
from fairlead_graphql.paging import (
    MOST,
    Connection,
    Edge,
    Page,
    PageInfo,
    check_key,
    connection_of,
    cursor_of,
    empty_connection,
    forward_page,
    list_page,
    no_cursor,
    page_of,
)
from fairlead_graphql.selection import EMPTY, Selection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """How one field is read: from columns of the row, through ``make(work, *values)`` when there is more to do."""

    columns: tuple[Any, ...]
    make: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Children:
    """How a nested list (or single object) is read for all rows of a page at once: by row id, ``empty()`` for none."""

    load: Callable[[Work, Sequence[int], Selection], Mapping[int, Any]]
    empty: Callable[[], Any] = list


@dataclass(frozen=True, slots=True)
class Plan:
    """How a type is read. Field names are the schema's; ``extra`` are attributes that resolvers of the type need.

    ``ids_of`` names the type that its global ids are of, when it is another.
    """

    type_: type[Any]
    id_column: Any
    columns: Mapping[str, Column]
    children: Mapping[str, Children] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    ids_of: str = ""

    @property
    def name(self) -> str:
        """The schema's name of the type."""
        return str(self.type_.__strawberry_definition__.name)


def read_page(
    work: Work,
    plan: Plan,
    query: sa.Select[Any],
    key: Any,
    page: Page,
    selection: Selection,
    *,
    descending: bool = False,
) -> Connection[Any]:
    """One page of ``query`` (which holds only FROM and WHERE of the plan's entity) in the order of ``(key, id)``."""
    wanted = selection.below("edges", "node") | selection.below("nodes")
    reader = _Reader(work, plan, wanted)
    order, identity = key, plan.id_column
    down = descending != page.backward
    statement = query.with_only_columns(identity, order, *reader.columns, maintain_column_froms=True)
    for name, mark, beyond in (("after", page.after, descending), ("before", page.before, not descending)):
        if mark is not None:
            statement = statement.where(_beyond(order, identity, mark, beyond, name))
    directions = (sa.desc, sa.desc) if down else (sa.asc, sa.asc)
    statement = statement.order_by(directions[0](order), *(() if order is identity else (directions[1](identity),)))
    rows = work.session.execute(statement.limit(page.size + 1)).all()
    more = len(rows) > page.size
    rows = rows[: page.size]
    if page.backward:
        rows = rows[::-1]
    cursors = [cursor_of(row[1], row[0]) for row in rows]
    connection = connection_of(list(zip(reader.objects(rows), cursors, strict=True)), page, more)
    if "totalCount" in selection:
        counted = query.with_only_columns(sa.func.count(), maintain_column_froms=True)
        connection.total_count = work.session.execute(counted).scalar_one()
    return connection


def read_one(work: Work, plan: Plan, query: sa.Select[Any], selection: Selection) -> Any | None:
    """The single row of ``query`` as an object, ``None`` when there is none."""
    found = read_all(work, plan, query, selection)
    return found[0] if found else None


def read_all(work: Work, plan: Plan, query: sa.Select[Any], selection: Selection) -> list[Any]:
    """All rows of a bounded ``query``, in its own order."""
    reader = _Reader(work, plan, selection)
    columns = (plan.id_column, plan.id_column, *reader.columns)
    return reader.objects(work.session.execute(query.with_only_columns(*columns, maintain_column_froms=True)).all())


def read_by(work: Work, plan: Plan, query: sa.Select[Any], parent: Any, selection: Selection) -> dict[int, list[Any]]:
    """The rows of ``query`` by the value of their column ``parent``, each list in the query's order."""
    reader = _Reader(work, plan, selection)
    columns = (plan.id_column, parent, *reader.columns)
    rows = work.session.execute(query.with_only_columns(*columns, maintain_column_froms=True)).all()
    groups: dict[int, list[Any]] = {}
    for row, item in zip(rows, reader.objects(rows), strict=True):
        groups.setdefault(row[1], []).append(item)
    return groups


def read_lists(
    work: Work,
    plan: Plan,
    query: sa.Select[Any],
    parent: Any,
    parents: Sequence[int],
    selection: Selection,
    *order: Any,
) -> dict[int, list[Any]]:
    """The first :data:`MOST` rows of ``query`` for each of ``parents``, in the given order of columns.

    ``parent`` is the column that holds the parent's id. One statement, or two where so many rows wait that some parent
    may have too many.
    """
    reader = _Reader(work, plan, selection)
    columns = (plan.id_column, parent, *reader.columns)
    query = query.where(parent.in_(parents))
    most = MOST * len(parents)
    plain = query.with_only_columns(*columns, maintain_column_froms=True).order_by(parent, *order).limit(most + 1)
    rows: Sequence[Any] = work.session.execute(plain).all()
    if len(rows) > most:
        # Ranking costs more than reading does, so it is for those who need it.
        rows = work.session.execute(_first_of_each(query, columns, parent, order, MOST)).all()
    groups: dict[int, list[Any]] = {}
    for row, item in zip(rows, reader.objects(rows), strict=True):
        groups.setdefault(row[1], []).append(item)
    return {number: items[:MOST] for number, items in groups.items()}


def _first_of_each(
    query: sa.Select[Any], columns: Sequence[Any], parent: Any, order: Sequence[Any], most: int
) -> sa.Select[Any]:
    """``columns`` of at most ``most`` rows of ``query`` per value of ``parent``, in this order within each."""
    place = sa.func.row_number().over(partition_by=parent, order_by=order)
    named = [column.label(f"c{at}") for at, column in enumerate(columns)]
    ranked = query.with_only_columns(
        *named, parent.label("parent"), place.label("place"), maintain_column_froms=True
    ).subquery()
    found = sa.select(*(ranked.c[column.name] for column in named)).where(ranked.c.place <= most)
    return found.order_by(ranked.c.parent, ranked.c.place)


def read_nested(
    work: Work,
    plan: Plan,
    query: sa.Select[Any],
    parent: Any,
    key: Any,
    page: Page,
    selection: Selection,
    *,
    descending: bool = False,
) -> dict[int, Connection[Any]]:
    """The same page of a nested list for many parents in one statement; parents without a row are left out.

    Only forward pages: a cursor belongs to one parent, so ``after`` is for a single one.
    """
    if page.backward or page.before is not None:
        raise InvalidInput("this list goes forward only: give first and after", path=("last",))
    reader = _Reader(work, plan, selection.below("edges", "node") | selection.below("nodes"))
    if page.after is not None:
        query = query.where(_beyond(key, plan.id_column, page.after, descending, "after"))
    turned = sa.desc if descending else sa.asc
    columns = (plan.id_column, key, parent, *reader.columns)
    order = (turned(key), turned(plan.id_column))
    rows = work.session.execute(_first_of_each(query, columns, parent, order, page.size + 1)).all()
    flat = [(row[0], row[1], *row[3:]) for row in rows]
    groups: dict[int, list[tuple[Any, str]]] = {}
    for row, item in zip(rows, reader.objects(flat), strict=True):
        groups.setdefault(row[2], []).append((item, cursor_of(row[1], row[0])))
    return {number: forward_page(items, page) for number, items in groups.items()}


def batched(item: Any, key: Any, load: Callable[[Sequence[int]], Mapping[int, T]], empty: Callable[[], T]) -> T:
    """A nested value of ``item``, loaded for all rows of its page at the first call by ``load(numbers)``."""
    batch: _Batch = item.__dict__["_batch"]
    found = batch.kept.get(key)
    if found is None:
        found = batch.kept[key] = load(batch.numbers)
    value = found.get(item.__dict__["_number"])
    return empty() if value is None else value


@dataclass(slots=True)
class _Batch:
    """The rows that were read together, and what was loaded for all of them."""

    numbers: Sequence[int]
    kept: dict[Any, Mapping[int, Any]] = field(default_factory=dict)


class _Reader:
    """Turns rows (id, key, wanted columns) into objects for one selection."""

    def __init__(self, work: Work, plan: Plan, wanted: Selection) -> None:
        self.work = work
        self.plan = plan
        self.columns: list[Any] = []
        # What each place of a row is called in the object; values that something is made of stay under hidden names.
        self._names = ["_number", "_key"]
        self._made: list[tuple[str, Callable[..., Any], int, int]] = []
        self._children = [(name, plan.children[name], inner) for name, inner in wanted.items() if name in plan.children]
        for name in (*wanted, *plan.extra):
            column = plan.columns.get(name)
            if column is None and name in plan.extra:
                column = Column((plan.extra[name],))
            if column is None:
                continue
            at = len(self._names)
            self.columns.extend(column.columns)
            if column.make is None:
                self._names.append(snake(name))
            else:
                self._names += (f"_{place}" for place in range(at, at + len(column.columns)))
                self._made.append((snake(name), column.make, at, at + len(column.columns)))

    def objects(self, rows: Sequence[Any]) -> list[Any]:
        """One object per row, nested lists included."""
        type_, work, names, made = self.plan.type_, self.work, self._names, self._made
        ids_of = self.plan.ids_of or self.plan.name
        numbers = [row[0] for row in rows]
        batch = _Batch(numbers)
        out = []
        for row in rows:
            item = object.__new__(type_)
            values = item.__dict__
            values.update(zip(names, row, strict=False))
            values["_batch"] = batch
            values["id"] = to_global(ids_of, row[0])
            for attribute, make, start, end in made:
                values[attribute] = make(work, *row[start:end])
            out.append(item)
        for field_name, child, inner in self._children:
            found = child.load(work, numbers, inner) if numbers else {}
            attribute = snake(field_name)
            for item, number in zip(out, numbers, strict=True):
                value = found.get(number)
                item.__dict__[attribute] = child.empty() if value is None else value
        return out


def _beyond(key: Any, identity: Any, mark: tuple[Any, int], less: bool, name: str) -> sa.ColumnElement[bool]:
    """The rows past a cursor that came in the argument ``name``; raises ``InvalidInput`` for a forged one."""
    value, number = mark
    instant = isinstance(key.type, Instant)
    check_key(value, int if instant else key.type.python_type, name)
    if instant:
        try:
            value = from_millis(value)
        except OverflowError:
            raise no_cursor(name) from None
    if key is identity:
        return sa.and_(identity < number if less else identity > number)
    if less:
        return sa.or_(key < value, sa.and_(key == value, identity < number))
    return sa.or_(key > value, sa.and_(key == value, identity > number))


def snake(name: str) -> str:
    """A schema name as Python spells it."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


__all__ = [
    "EMPTY",
    "Children",
    "Column",
    "Connection",
    "Edge",
    "Page",
    "PageInfo",
    "Plan",
    "batched",
    "empty_connection",
    "list_page",
    "page_of",
    "read_all",
    "read_by",
    "read_lists",
    "read_nested",
    "read_one",
    "read_page",
]
