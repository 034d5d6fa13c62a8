"""Lists by look-ahead: one statement selects exactly the columns an operation asks for, one more per nested list.

A :class:`Plan` says how each field of a type is read. Objects are made with plain attributes and without their
constructor, so fields are default-resolved; a field nobody asked for is simply not there. Pages are keyset pages:
``(sort key, id)`` of the last row is the cursor.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import orjson
import sqlalchemy as sa
import strawberry

from fairlead.errors import InvalidInput
from fairlead.storage.types import Instant, from_millis, to_millis
from fairlead.work import Work
from fairlead_graphql.ids import to_global
from fairlead_graphql.selection import EMPTY, Selection

T = TypeVar("T")
DEFAULT_FIRST = 20
MOST = 100


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's page info."""

    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first row; null when the page is empty.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last row; null when the page is empty.")


@strawberry.type(description="A row and its place in the list.")
class Edge(Generic[T]):
    """Relay's edge."""

    node: T = strawberry.field(description="The row.")
    cursor: str = strawberry.field(description="Its place: give it as `after` or `before`.")


@strawberry.type(description="A page of a list: at most 100 rows, 20 unless asked otherwise.")
class Connection(Generic[T]):
    """Relay's connection, with the rows themselves beside the edges."""

    edges: list[Edge[T]] = strawberry.field(description="The rows with their cursors.")
    nodes: list[T] = strawberry.field(description="The rows alone.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    total_count: int | None = strawberry.field(description="Rows of the whole list; counted only when asked for.")


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
    """How a type is read. Field names are the schema's; ``extra`` are attributes that resolvers of the type need."""

    type_: type[Any]
    id_column: Any
    columns: Mapping[str, Column]
    children: Mapping[str, Children] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The schema's name of the type."""
        return str(self.type_.__strawberry_definition__.name)


@dataclass(frozen=True, slots=True)
class Page:
    """Validated page arguments."""

    size: int
    after: tuple[Any, int] | None
    before: tuple[Any, int] | None
    backward: bool


def page_of(first: Any, after: Any, last: Any = None, before: Any = None) -> Page:
    """The page arguments, or :class:`InvalidInput` with the path of the wrong one."""
    first, after, last, before = (
        None if value is strawberry.UNSET else value for value in (first, after, last, before)
    )
    if first is not None and last is not None:
        raise InvalidInput("give first or last, not both", path=("last",))
    name, size = ("last", last) if last is not None else ("first", DEFAULT_FIRST if first is None else first)
    if size is None or not 1 <= size <= MOST:
        raise InvalidInput(f"a page has 1 to {MOST} rows", path=(name,))
    return Page(size, _read_cursor(after, "after"), _read_cursor(before, "before"), last is not None)


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
    for mark, beyond in ((page.after, descending), (page.before, not descending)):
        if mark is not None:
            statement = statement.where(_beyond(order, identity, mark, beyond))
    directions = (sa.desc, sa.desc) if down else (sa.asc, sa.asc)
    statement = statement.order_by(directions[0](order), *(() if order is identity else (directions[1](identity),)))
    rows = work.session.execute(statement.limit(page.size + 1)).all()
    more = len(rows) > page.size
    rows = rows[: page.size]
    if page.backward:
        rows = rows[::-1]
    cursors = [_cursor(row[1], row[0]) for row in rows]
    connection = _connection(list(zip(reader.objects(rows), cursors, strict=True)), page, more)
    if "totalCount" in selection:
        counted = query.with_only_columns(sa.func.count(), maintain_column_froms=True)
        connection.total_count = work.session.execute(counted).scalar_one()
    return connection


def list_page(items: Sequence[tuple[str, T]], page: Page, selection: Selection) -> Connection[T]:
    """One page of a list that is in memory: pairs of a unique key and the row, in the order of the keys."""
    found = [
        pair
        for pair in items
        if (page.after is None or pair[0] > str(page.after[0]))
        and (page.before is None or pair[0] < str(page.before[0]))
    ]
    more = len(found) > page.size
    found = found[-page.size :] if page.backward else found[: page.size]
    connection = _connection([(row, _cursor(key, 0)) for key, row in found], page, more)
    if "totalCount" in selection:
        connection.total_count = len(items)
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
    identity = plan.id_column
    if page.after is not None:
        query = query.where(_beyond(key, identity, page.after, descending))
    turned = sa.desc if descending else sa.asc
    place = sa.func.row_number().over(partition_by=parent, order_by=(turned(key), turned(identity)))
    columns = [identity.label("c0"), key.label("c1"), parent.label("c2"), place.label("c3")]
    columns += [column.label(f"c{at}") for at, column in enumerate(reader.columns, 4)]
    ranked = query.with_only_columns(*columns, maintain_column_froms=True).subquery()
    found = sa.select(*(ranked.c[f"c{at}"] for at in range(len(columns)))).where(ranked.c.c3 <= page.size + 1)
    rows = work.session.execute(found.order_by(ranked.c.c2, ranked.c.c3)).all()
    flat = [(row[0], row[1], *row[4:]) for row in rows]
    groups: dict[int, list[tuple[Any, str]]] = {}
    for row, item in zip(rows, reader.objects(flat), strict=True):
        groups.setdefault(row[2], []).append((item, _cursor(row[1], row[0])))
    return {number: _forward_page(items, page) for number, items in groups.items()}


def _forward_page(items: list[tuple[Any, str]], page: Page) -> Connection[Any]:
    return _connection(items[: page.size], page, len(items) > page.size)


def _connection(items: list[tuple[Any, str]], page: Page, more: bool) -> Connection[Any]:
    connection = object.__new__(Connection)
    connection.nodes = [item for item, _ in items]
    connection.edges = [_edge(item, cursor) for item, cursor in items]
    connection.page_info = PageInfo(
        has_next_page=more if not page.backward else page.before is not None,
        has_previous_page=more if page.backward else page.after is not None,
        start_cursor=items[0][1] if items else None,
        end_cursor=items[-1][1] if items else None,
    )
    connection.total_count = None
    return connection


def batched(item: Any, key: Any, load: Callable[[Sequence[int]], Mapping[int, T]], empty: Callable[[], T]) -> T:
    """A nested value of ``item``, loaded for all rows of its page at the first call by ``load(numbers)``."""
    batch: _Batch = item.__dict__["_batch"]
    found = batch.kept.get(key)
    if found is None:
        found = batch.kept[key] = load(batch.numbers)
    value = found.get(item.__dict__["_number"])
    return empty() if value is None else value


def empty_connection() -> Connection[Any]:
    """A page without rows."""
    return _forward_page([], Page(DEFAULT_FIRST, None, None, False))


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
        self._plain: list[tuple[str, int]] = []
        self._made: list[tuple[str, Callable[..., Any], int, int]] = []
        self._children = [(name, plan.children[name], inner) for name, inner in wanted.items() if name in plan.children]
        for name in (*wanted, *plan.extra):
            column = plan.columns.get(name)
            if column is None and name in plan.extra:
                column = Column((plan.extra[name],))
            if column is None:
                continue
            at = 2 + len(self.columns)
            self.columns.extend(column.columns)
            if column.make is None:
                self._plain.append((snake(name), at))
            else:
                self._made.append((snake(name), column.make, at, at + len(column.columns)))

    def objects(self, rows: Sequence[Any]) -> list[Any]:
        """One object per row, nested lists included."""
        type_, name, work = self.plan.type_, self.plan.name, self.work
        numbers = [row[0] for row in rows]
        batch = _Batch(numbers)
        out = []
        for row in rows:
            item = object.__new__(type_)
            values = item.__dict__
            values["_batch"], values["_number"] = batch, row[0]
            values["id"] = to_global(name, row[0])
            for attribute, at in self._plain:
                values[attribute] = row[at]
            for attribute, make, start, end in self._made:
                values[attribute] = make(work, *row[start:end])
            out.append(item)
        for field_name, child, inner in self._children:
            found = child.load(work, numbers, inner) if numbers else {}
            attribute = snake(field_name)
            for item, number in zip(out, numbers, strict=True):
                value = found.get(number)
                item.__dict__[attribute] = child.empty() if value is None else value
        return out


def _edge(node: Any, cursor: str) -> Edge[Any]:
    edge = object.__new__(Edge)
    edge.node = node
    edge.cursor = cursor
    return edge


def _beyond(key: Any, identity: Any, mark: tuple[Any, int], less: bool) -> sa.ColumnElement[bool]:
    value, number = mark
    if isinstance(getattr(key, "type", None), Instant) and isinstance(value, int):
        value = from_millis(value)
    if key is identity:
        return sa.and_(identity < number if less else identity > number)
    if less:
        return sa.or_(key < value, sa.and_(key == value, identity < number))
    return sa.or_(key > value, sa.and_(key == value, identity > number))


def _cursor(key: Any, number: int) -> str:
    if hasattr(key, "tzinfo"):
        key = to_millis(key)
    return base64.urlsafe_b64encode(orjson.dumps([key, number])).rstrip(b"=").decode()


def _read_cursor(text: str | None, name: str) -> tuple[Any, int] | None:
    if text is None:
        return None
    try:
        value = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        key, number = value
        if isinstance(key, dict | list) or not isinstance(number, int) or abs(number) >= 2**63:
            raise ValueError
        if isinstance(key, int) and abs(key) >= 2**63:
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise InvalidInput("this is no cursor of ours", path=(name,), next_step="use a cursor from an answer") from None
    return key, number


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
    "read_nested",
    "read_one",
    "read_page",
]
