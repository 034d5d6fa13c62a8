"""Relay's pages: connections, page arguments and cursors. ``(sort key, id)`` of a row is its cursor."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
import strawberry

from fairlead.errors import InvalidInput
from fairlead.storage.types import to_millis
from fairlead_graphql.selection import Selection

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
    total_count: int | None = strawberry.field(
        description="Rows of the whole list; counted only when asked for, null in a list nested under many rows."
    )


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


def list_page(items: Sequence[tuple[str, T]], page: Page, selection: Selection) -> Connection[T]:
    """One page of a list that is in memory: pairs of a unique key and the row, in the order of the keys."""
    for mark, name in ((page.after, "after"), (page.before, "before")):
        if mark is not None:
            check_key(mark[0], str, name)
    found = [
        pair
        for pair in items
        if (page.after is None or pair[0] > page.after[0]) and (page.before is None or pair[0] < page.before[0])
    ]
    more = len(found) > page.size
    found = found[-page.size :] if page.backward else found[: page.size]
    connection = connection_of([(row, cursor_of(key, 0)) for key, row in found], page, more)
    if "totalCount" in selection:
        connection.total_count = len(items)
    return connection


def forward_page(items: list[tuple[Any, str]], page: Page) -> Connection[Any]:
    """A page of pairs of row and cursor; one more than the page holds says that there is more."""
    return connection_of(items[: page.size], page, len(items) > page.size)


def connection_of(items: list[tuple[Any, str]], page: Page, more: bool) -> Connection[Any]:
    """A connection of pairs of row and cursor. The total is not counted here."""
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


def empty_connection() -> Connection[Any]:
    """A page without rows."""
    return forward_page([], Page(DEFAULT_FIRST, None, None, False))


def _edge(node: Any, cursor: str) -> Edge[Any]:
    edge = object.__new__(Edge)
    edge.node = node
    edge.cursor = cursor
    return edge


def cursor_of(key: Any, number: int) -> str:
    """The cursor of a row by its sort key and id."""
    if hasattr(key, "tzinfo"):
        key = to_millis(key)
    return base64.urlsafe_b64encode(orjson.dumps([key, number])).rstrip(b"=").decode()


def _read_cursor(text: str | None, name: str) -> tuple[Any, int] | None:
    if text is None:
        return None
    try:
        value = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        key, number = value
        if type(number) is not int or abs(number) >= 2**63:
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise no_cursor(name) from None
    return key, number


def no_cursor(name: str) -> InvalidInput:
    """What to say of a cursor in the argument ``name`` that no answer of this list held."""
    return InvalidInput("this is no cursor of ours", path=(name,), next_step="use a cursor from an answer")


def check_key(key: object, kind: type[Any], name: str) -> None:
    """Refuse a cursor whose sort key no row of the list can have, since a database fails on a value of another kind.

    ``kind`` is the Python type of the sort column. Raises :class:`InvalidInput`.
    """
    fits = type(key) is kind or (kind is float and type(key) is int)
    if isinstance(key, int):
        fits = fits and abs(key) < 2**63
    if isinstance(key, str):
        fits = fits and "\0" not in key
    if not fits:
        raise no_cursor(name)
