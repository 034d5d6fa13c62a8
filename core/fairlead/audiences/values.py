"""What the comparisons of the rule language mean, once: which are allowed for what, and how they hold in memory.

:mod:`fairlead.audiences.sql` says the same in SQL. Text is compared by code points (the order of UTF-8 bytes), never by
a collation. Numbers of JSON are compared as doubles; a JSON number of 1e300 or more has no place in an ordering and
counts as none, one below 1e-300 counts as 0. A value of another type is never equal and never greater or smaller.
``ne`` and ``not_in`` are the exact opposites of ``eq`` and ``in``, so they hold where the value is missing.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt, ne
from types import MappingProxyType
from typing import Any

from fairlead.storage.types import EPOCH, from_millis, to_millis

MOST_VALUES = 250
LONGEST_TEXT = 400
HUGE = 1e300
TINY = 1e-300
SAFE_INTEGER = 2**53


class Op(enum.StrEnum):
    """A comparison."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    BETWEEN = "between"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    EXISTS = "exists"
    MISSING = "missing"


class Type(enum.StrEnum):
    """What sort of value a condition looks at; ``JSON`` is decided by each value itself."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    INSTANT = "instant"
    JSON = "json"


ORDERED: Mapping[Op, Callable[[Any, Any], bool]] = MappingProxyType({Op.GT: gt, Op.GTE: ge, Op.LT: lt, Op.LTE: le})
COMPARE: Mapping[Op, Callable[[Any, Any], bool]] = MappingProxyType({**ORDERED, Op.EQ: eq, Op.NE: ne})
BARE_OPS = frozenset({Op.EXISTS, Op.MISSING})
LIST_OPS = frozenset({Op.IN, Op.NOT_IN})
OPPOSITE: Mapping[Op, Op] = MappingProxyType({Op.NE: Op.EQ, Op.NOT_IN: Op.IN, Op.MISSING: Op.EXISTS})

_NUMERIC = frozenset({*COMPARE, *LIST_OPS, *BARE_OPS, Op.BETWEEN})
OPS: Mapping[Type, frozenset[Op]] = MappingProxyType(
    {
        Type.TEXT: frozenset(Op),
        Type.JSON: frozenset(Op),
        Type.INTEGER: _NUMERIC,
        Type.NUMBER: _NUMERIC,
        Type.DATE: _NUMERIC,
        Type.INSTANT: frozenset({*ORDERED, *BARE_OPS, Op.BETWEEN}),
    }
)


# -- checking what a rule says ----------------------------------------------------------------------------------------


def check_value(op: Op, type_: Type, value: object) -> object:
    """The value in its stored form (lists as tuples); raise ``ValueError`` with one sentence when it does not fit."""
    if op not in OPS[type_]:
        allowed = ", ".join(name for name in Op if name in OPS[type_])
        raise ValueError(f"{op.value!r} is not a comparison for {_ARTICLE[type_]}; use one of {allowed}")
    if op in BARE_OPS:
        if value is not None:
            raise ValueError(f"{op.value!r} takes no value; leave it out")
        return None
    if op in LIST_OPS:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"{op.value!r} needs a list with at least one value")
        if len(value) > MOST_VALUES:
            raise ValueError(f"{op.value!r} takes at most {MOST_VALUES} values; put the people into a tag instead")
        return tuple(_check_one(op, type_, item) for item in value)
    if op is Op.BETWEEN:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValueError("'between' needs a list of two values, the lowest and the highest, both included")
        low, high = (_check_one(op, type_, item) for item in value)
        if isinstance(low, str) is not isinstance(high, str) or read(type_, low) > read(type_, high):
            raise ValueError("'between' needs the lowest value first, both of one type")
        return (low, high)
    return _check_one(op, type_, value)


def _check_one(op: Op, type_: Type, value: object) -> object:
    if isinstance(value, float) and (value != value or abs(value) >= HUGE):
        raise ValueError("the number is too large to be compared")
    if type_ is Type.JSON:
        return _check_json(op, value)
    if type_ is Type.TEXT:
        return _check_text(value)
    if type_ is Type.DATE or type_ is Type.INSTANT:
        return _check_time(type_, value)
    if isinstance(value, bool) or not isinstance(value, int if type_ is Type.INTEGER else int | float):
        raise ValueError("this needs a whole number" if type_ is Type.INTEGER else "this needs a number")
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        if type_ is Type.INTEGER or as_double(value) is None:
            raise ValueError("the number is too large to be compared")
        # PostgreSQL gives a stored 1e299 back in digits, as an integer.
        return float(value)
    return value


def _check_json(op: Op, value: object) -> object:
    if op in (Op.CONTAINS, Op.STARTS_WITH):
        return _check_text(value)
    if isinstance(value, bool):
        if op in ORDERED or op is Op.BETWEEN:
            raise ValueError("true and false have no order; use eq or ne")
        return value
    if isinstance(value, int | float):
        return _check_one(op, Type.NUMBER, value)
    if isinstance(value, str):
        return _check_text(value)
    raise ValueError("a value is a text, a number, true or false")


def _check_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("this needs a text")
    if not value or len(value) > LONGEST_TEXT:
        raise ValueError(f"a text has 1 to {LONGEST_TEXT} characters; to ask for a missing value use 'missing'")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("the text holds characters that no database stores")
    return value


def _check_time(type_: Type, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("this needs a date such as 2026-01-31" if type_ is Type.DATE else _INSTANT)
    return read_date(value).isoformat() if type_ is Type.DATE else write_instant(read_instant(value))


_INSTANT = "this needs an instant with its zone, such as 2026-01-31T00:00:00+08:00"
_ARTICLE = {
    Type.TEXT: "a text",
    Type.INTEGER: "a whole number",
    Type.NUMBER: "a number",
    Type.DATE: "a date",
    Type.INSTANT: "an instant",
    Type.JSON: "an attribute",
}


def read_date(text: str) -> dt.date:
    """The date of ``2026-01-31``; raise ``ValueError`` with one sentence."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError("this needs a date such as 2026-01-31") from None


def read_instant(text: str) -> dt.datetime:
    """The instant of an ISO 8601 text with a zone, cut to milliseconds; raise ``ValueError`` with one sentence."""
    try:
        instant = dt.datetime.fromisoformat(text)
        if instant.tzinfo is None or instant < EPOCH:
            raise ValueError(_INSTANT)
        return from_millis(to_millis(instant))
    except (ValueError, OverflowError):
        raise ValueError(_INSTANT) from None


def write_instant(instant: dt.datetime) -> str:
    """The one spelling of an instant in a stored rule: ISO 8601 in UTC."""
    return instant.astimezone(dt.UTC).isoformat()


def read(type_: Type, value: Any) -> Any:
    """A checked value as it is compared: dates and instants out of their text, numbers of JSON as doubles."""
    if type_ is Type.DATE:
        return read_date(value)
    if type_ is Type.INSTANT:
        return read_instant(value)
    if type_ is Type.JSON or type_ is Type.NUMBER:
        return as_double(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    return value


def age_on(today: dt.date, born: dt.date) -> int:
    """Whole years by the calendar; somebody born on 29 February grows older on 1 March in other years."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def youngest_birth_date(today: dt.date, years: int) -> dt.date | None:
    """The latest birth date with :func:`age_on` of at least ``years``; ``None`` when there is none in the calendar."""
    year = today.year - years
    if year < dt.MINYEAR:
        return None
    if year > dt.MAXYEAR:
        return dt.date.max
    try:
        return today.replace(year=year)
    except ValueError:
        return dt.date(year, 2, 28)


# -- holding in memory ------------------------------------------------------------------------------------------------


def holds(type_: Type, op: Op, seen: Any, value: Any) -> bool:
    """Whether ``seen op value``. ``seen`` is ``None`` when missing; ``value`` was checked by :func:`check_value`."""
    if op in OPPOSITE:
        return not holds(type_, OPPOSITE[op], seen, value)
    if type_ is Type.JSON and op is Op.EXISTS:
        return seen is not None
    if type_ in (Type.JSON, Type.NUMBER) and isinstance(seen, int | float) and not isinstance(seen, bool):
        seen = as_double(seen)
    if seen is None:
        return False
    if op is Op.EXISTS:
        return True
    if op is Op.IN:
        return any(_same(seen, read(type_, item)) for item in value)
    if op is Op.EQ:
        return _same(seen, read(type_, value))
    if op is Op.BETWEEN:
        low, high = (read(type_, item) for item in value)
        return _comparable(seen, low) and low <= seen <= high
    if op is Op.CONTAINS:
        return (
            any(item == value for item in seen if isinstance(item, str))
            if isinstance(seen, list)
            else (isinstance(seen, str) and value in seen)
        )
    if op is Op.STARTS_WITH:
        return isinstance(seen, str) and seen.startswith(value)
    wanted = read(type_, value)
    return _comparable(seen, wanted) and ORDERED[op](seen, wanted)


def as_double(value: int | float) -> float | None:
    """A JSON number as both evaluators compare it."""
    try:
        number = float(value)
    except OverflowError:
        return None
    if number != number or abs(number) >= HUGE:
        return None
    return 0.0 if abs(number) < TINY else number


def _same(seen: Any, value: Any) -> bool:
    return _comparable(seen, value, flags=True) and bool(seen == value)


def _comparable(seen: Any, value: Any, *, flags: bool = False) -> bool:
    if isinstance(seen, bool) or isinstance(value, bool):
        return flags and isinstance(seen, bool) and isinstance(value, bool)
    if isinstance(seen, int | float) and isinstance(value, int | float):
        return True
    return type(seen) is type(value) or (isinstance(seen, str) and isinstance(value, str))
