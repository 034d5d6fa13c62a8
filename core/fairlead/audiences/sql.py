"""The comparisons of the rule language in SQL, the same on SQLite and PostgreSQL and never NULL.

A condition looks at a :class:`Term`: a column, or a key of a JSON column split by the type of its value. The meaning is
that of :mod:`fairlead.audiences.values`; the constructs below spell out where the two engines differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from fairlead.audiences.values import HUGE, OPPOSITE, ORDERED, TINY, Op, Type, read

Condition = sa.ColumnElement[bool]
LONGEST_CHAIN = 32


def joined(join: Callable[..., Condition], conditions: Iterable[Condition]) -> Condition:
    """``sa.and_`` or ``sa.or_`` of any number of conditions.

    All but the first are put in parentheses by the piece, since to SQLite a chain of a thousand is an expression too
    deep to run.
    """
    parts = list(conditions)
    pieces = (parts[at : at + LONGEST_CHAIN] for at in range(LONGEST_CHAIN, len(parts), LONGEST_CHAIN))
    start = sa.true() if join is sa.and_ else sa.false()
    return join(start, *parts[:LONGEST_CHAIN], *(_whole(join(*piece)) for piece in pieces))


def _whole(condition: Condition) -> Condition:
    # Parentheses alone would be flattened into the expression around them; a change of type is not.
    return sa.type_coerce(condition.self_group(against=operators.inv), sa.Boolean())


# -- constructs -------------------------------------------------------------------------------------------------------


class _JsonPart(FunctionElement[Any]):
    """A key of a JSON object. SQLite gets its path twice: plain, and with the escapes a writer may have used.

    SQLite before 3.46 compares the raw text of keys, where one Chinese letter may stand as six of ASCII.
    """

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], key: str, *more: sa.ColumnElement[Any]) -> None:
        plain, escaped = f'$."{key}"', f'$."{json.dumps(key)[1:-1]}"'
        super().__init__(column, *(sa.literal(text, sa.Text) for text in (key, plain, escaped)), *more)


class JsonText(_JsonPart):
    """The value as text, NULL when it is of another type."""

    type = sa.Text()
    inherit_cache = True


class JsonNumber(_JsonPart):
    """The value as a double, NULL when it is of another type or too large to be compared."""

    type = sa.Double()
    inherit_cache = True


class JsonFlag(_JsonPart):
    """The value as a boolean, NULL when it is of another type."""

    type = sa.Boolean()
    inherit_cache = True


class JsonKnown(_JsonPart):
    """Whether there is a value other than null."""

    type = sa.Boolean()
    inherit_cache = True


class JsonHolds(_JsonPart):
    """Whether the value is an array with a text in it."""

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], key: str, text: str) -> None:
        super().__init__(column, key, sa.literal(text, sa.Text))


class Bytewise(FunctionElement[str]):
    """Text that is ordered by its bytes, whatever the database's collation."""

    type = sa.Text()
    inherit_cache = True


class Position(FunctionElement[int]):
    """The place of the second text in the first, from 1; 0 when it is not there."""

    type = sa.Integer()
    inherit_cache = True


@dataclass(frozen=True, slots=True)
class _Spelled:
    kind: str
    value: str
    more: str = ""


def _on_sqlite(element: _JsonPart, compiler: SQLCompiler, kw: dict[str, Any]) -> _Spelled:
    column, _key, plain, escaped, *more = (compiler.process(clause, **kw) for clause in element.clauses)
    kind, value = (
        f"coalesce({function}({column}, {plain}), {function}({column}, {escaped}))"
        for function in ("json_type", "json_extract")
    )
    return _Spelled(kind, value, *more)


def _on_postgresql(element: _JsonPart, compiler: SQLCompiler, kw: dict[str, Any]) -> _Spelled:
    clauses = list(element.clauses)
    column, key, *more = (compiler.process(clause, **kw) for clause in (*clauses[:2], *clauses[4:]))
    return _Spelled(f"jsonb_typeof({column} -> {key})", f"({column} ->> {key})", *more)


@compiles(JsonText, "sqlite")
def _text_on_sqlite(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    part = _on_sqlite(element, compiler, kw)
    return f"(CASE WHEN {part.kind} = 'text' THEN {part.value} END)"


@compiles(JsonText, "postgresql")
def _text_on_postgresql(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    part = _on_postgresql(element, compiler, kw)
    return f"(CASE WHEN {part.kind} = 'string' THEN {part.value} END)"


@compiles(JsonNumber, "sqlite")
def _number_on_sqlite(element: JsonNumber, compiler: SQLCompiler, **kw: Any) -> str:
    part = _on_sqlite(element, compiler, kw)
    return _bounded(f"{part.kind} IN ('integer', 'real')", f"CAST({part.value} AS REAL)", "")


@compiles(JsonNumber, "postgresql")
def _number_on_postgresql(element: JsonNumber, compiler: SQLCompiler, **kw: Any) -> str:
    part = _on_postgresql(element, compiler, kw)
    return _bounded(f"{part.kind} = 'number'", f"{part.value}::numeric", "::float8")


def _bounded(is_number: str, number: str, cast: str) -> str:
    # Bounded before the cast, because PostgreSQL raises where a number is outside of what a double holds.
    return (
        f"(CASE WHEN {is_number} THEN CASE WHEN abs({number}) >= {HUGE!r} THEN NULL"
        f" WHEN abs({number}) < {TINY!r} THEN 0.0{cast} ELSE ({number}){cast} END END)"
    )


@compiles(JsonFlag, "sqlite")
def _flag_on_sqlite(element: JsonFlag, compiler: SQLCompiler, **kw: Any) -> str:
    part = _on_sqlite(element, compiler, kw)
    return f"(CASE {part.kind} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END)"


@compiles(JsonFlag, "postgresql")
def _flag_on_postgresql(element: JsonFlag, compiler: SQLCompiler, **kw: Any) -> str:
    part = _on_postgresql(element, compiler, kw)
    return f"(CASE WHEN {part.kind} = 'boolean' THEN {part.value} = 'true' END)"


@compiles(JsonKnown, "sqlite")
def _known_on_sqlite(element: JsonKnown, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(coalesce({_on_sqlite(element, compiler, kw).kind}, 'null') <> 'null')"


@compiles(JsonKnown, "postgresql")
def _known_on_postgresql(element: JsonKnown, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(coalesce({_on_postgresql(element, compiler, kw).kind}, 'null') <> 'null')"


@compiles(JsonHolds, "sqlite")
def _holds_on_sqlite(element: JsonHolds, compiler: SQLCompiler, **kw: Any) -> str:
    part = _on_sqlite(element, compiler, kw)
    return (
        f"(CASE WHEN {part.kind} = 'array' THEN EXISTS (SELECT 1 FROM json_each({part.value}) AS item"  # noqa: S608 -- compiled parts
        f" WHERE item.type = 'text' AND item.value = {part.more}) ELSE 0 END)"
    )


@compiles(JsonHolds, "postgresql")
def _holds_on_postgresql(element: JsonHolds, compiler: SQLCompiler, **kw: Any) -> str:
    part = _on_postgresql(element, compiler, kw)
    return (
        f"(CASE WHEN {part.kind} = 'array' THEN {part.value}::jsonb @> to_jsonb(CAST({part.more} AS text))"
        " ELSE false END)"
    )


@compiles(Bytewise, "sqlite")
def _bytewise_on_sqlite(element: Bytewise, compiler: SQLCompiler, **kw: Any) -> str:
    (text,) = element.clauses
    return compiler.process(text, **kw)


@compiles(Bytewise, "postgresql")
def _bytewise_on_postgresql(element: Bytewise, compiler: SQLCompiler, **kw: Any) -> str:
    (text,) = element.clauses
    return f'({compiler.process(text, **kw)} COLLATE "C")'


@compiles(Position, "sqlite")
def _position_on_sqlite(element: Position, compiler: SQLCompiler, **kw: Any) -> str:
    return f"instr({', '.join(compiler.process(clause, **kw) for clause in element.clauses)})"


@compiles(Position, "postgresql")
def _position_on_postgresql(element: Position, compiler: SQLCompiler, **kw: Any) -> str:
    return f"strpos({', '.join(compiler.process(clause, **kw) for clause in element.clauses)})"


# -- terms and tests --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """What a condition looks at: one expression per type of value, ``None`` where it can have no such value.

    ``number`` stands for everything that is ordered and not text: dates and instants too. ``array`` is set for JSON.
    """

    known: Condition
    text: sa.ColumnElement[Any] | None = None
    number: sa.ColumnElement[Any] | None = None
    flag: sa.ColumnElement[Any] | None = None
    array: tuple[sa.ColumnElement[Any], str] | None = None

    def sure(self, condition: Any) -> Condition:
        """False where the condition is NULL, so that NOT around it is true."""
        # A column's own condition stays bare, so that the planner can use what it knows about the column.
        return sa.and_(self.known, condition) if self.array is None else sa.func.coalesce(condition, sa.false())


def column_term(column: Any, type_: Type) -> Term:
    """A column of its own."""
    known = column.is_not(None)
    return Term(known, text=column) if type_ is Type.TEXT else Term(known, number=column)


def json_term(column: Any, key: str) -> Term:
    """The value under ``key`` of a JSON object in ``column``, which may be NULL."""
    return Term(
        JsonKnown(column, key), JsonText(column, key), JsonNumber(column, key), JsonFlag(column, key), (column, key)
    )


def compare(term: Term, type_: Type, op: Op, value: Any) -> Condition:
    """``term op value``, never NULL; the value was checked by :func:`~fairlead.audiences.values.check_value`."""
    if op in OPPOSITE:
        return sa.not_(compare(term, type_, OPPOSITE[op], value))
    if op is Op.EXISTS:
        return term.known
    if op is Op.IN:
        return _among(term, [read(type_, item) for item in value])
    if op is Op.CONTAINS:
        found = term.sure(Position(term.text, sa.literal(value, sa.Text)) > 0) if term.text is not None else sa.false()
        return sa.or_(found, JsonHolds(*term.array, value)) if term.array is not None else found
    if op is Op.STARTS_WITH:
        return term.sure(sa.func.substr(term.text, 1, len(value)) == value) if term.text is not None else sa.false()
    if op is Op.EQ:
        wanted = read(type_, value)
        part = _part(term, wanted)
        return sa.false() if part is None else term.sure(part == wanted)
    if op is Op.BETWEEN:
        low, high = (read(type_, item) for item in value)
        part = _orderable(term, low)
        return sa.false() if part is None else term.sure(sa.and_(part >= low, part <= high))
    wanted = read(type_, value)
    part = _orderable(term, wanted)
    return sa.false() if part is None else term.sure(ORDERED[op](part, wanted))


def _among(term: Term, wanted: list[Any]) -> Condition:
    flags = [item for item in wanted if isinstance(item, bool)]
    texts = [item for item in wanted if isinstance(item, str)]
    numbers = [item for item in wanted if not isinstance(item, bool | str)]
    parts = ((term.text, texts), (term.number, numbers), (term.flag, flags))
    return sa.or_(sa.false(), *(term.sure(part.in_(items)) for part, items in parts if part is not None and items))


def _part(term: Term, value: Any) -> sa.ColumnElement[Any] | None:
    if isinstance(value, bool):
        return term.flag
    return term.text if isinstance(value, str) else term.number


def _orderable(term: Term, value: Any) -> sa.ColumnElement[Any] | None:
    part = _part(term, value)
    return Bytewise(part) if isinstance(value, str) and part is not None else part
