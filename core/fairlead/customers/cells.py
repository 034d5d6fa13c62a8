"""From the text of a cell to a value, a column at a time; what cannot be read gets a reason, never a guess."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar
from zoneinfo import ZoneInfo

from fairlead.storage.types import to_millis

T = TypeVar("T")
MINOR_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "BHD": 3}
EARLIEST = to_millis(dt.datetime(1970, 1, 2, tzinfo=dt.UTC))
LATEST = to_millis(dt.datetime(2200, 1, 1, tzinfo=dt.UTC))
GENDERS = {
    **dict.fromkeys(("男", "m", "male", "1", "先生"), "male"),
    **dict.fromkeys(("女", "f", "female", "0", "2", "女士"), "female"),
}
_AMOUNT_NOISE = re.compile(r"[\s¥￥元$]")
# A comma may be a decimal one: it is read where only thousands can be meant.
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
# Decimal and int read more than people write (underscores, names, exponents of any size), so the form is checked first.
_NUMBER = re.compile(r"[+-]?(?:\d{1,24}(?:\.\d{0,24})?|\.\d{1,24})(?:[eE][+-]?\d{1,2})?", re.ASCII)
LARGEST = 2**62
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")

Problems = dict[int, tuple[str, str]]
"""Row index to (column, reason)."""


def fold(text: str) -> str:
    """Full-width letters and digits as plain ones, blanks trimmed."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFKC", text).strip()


def read_column(
    cells: Sequence[str], column: str, read: Callable[[str], T], problems: Problems, reason: str, *, optional: bool
) -> list[T | None]:
    """Apply ``read`` to each cell once per distinct text; it raises ``ValueError`` for what it cannot read."""
    known: dict[str, T | None] = {}
    bad: dict[str, str] = {}
    for cell in dict.fromkeys(cells):
        text = fold(cell)
        if not text:
            if not optional:
                bad[cell] = "is empty"
        else:
            try:
                known[cell] = read(text)
            except (ValueError, OverflowError):
                bad[cell] = reason
    if bad:
        for at, cell in enumerate(cells):
            if cell in bad:
                problems.setdefault(at, (column, bad[cell]))
    return list(map(known.get, cells))


def time_reader(time_format: str, zone: str) -> Callable[[str], int]:
    """A reader of instants to epoch milliseconds: ISO 8601 (or slashes, or 年月日), epoch, a strptime format."""
    local = ZoneInfo(zone)

    def checked(millis: int) -> int:
        if not EARLIEST <= millis <= LATEST:
            raise ValueError("outside the years 1970 to 2199")
        return millis

    def of_local(moment: dt.datetime) -> int:
        return checked(to_millis(moment if moment.tzinfo else moment.replace(tzinfo=local)))

    def of_seconds(text: str) -> int:
        # The usual form, at a fifth of what the general one costs.
        if len(text) <= 12 and text.isascii() and text.isdigit():
            return checked(int(text) * 1000)
        return checked(int(_number(text) * 1000))

    if time_format == "epoch_seconds":
        return of_seconds
    if time_format == "epoch_millis":
        return lambda text: checked(_whole(_number(text)))
    if time_format == "iso":
        return lambda text: of_local(_iso(text))
    return lambda text: of_local(dt.datetime.strptime(text, time_format))  # noqa: DTZ007 - the zone is the mapping's


def _iso(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        found = _DATE.match(text)
        if not found:
            raise
        year, month, day = (int(part) for part in found.groups())
        rest = text[found.end() :].strip().lstrip("T")
        clock = dt.time.fromisoformat(_pad(rest)) if rest else dt.time()
        return dt.datetime.combine(dt.date(year, month, day), clock)


def _pad(clock: str) -> str:
    return f"0{clock}" if clock[1:2] == ":" else clock


def date_of(text: str) -> str:
    """An ISO date."""
    return _iso(text).date().isoformat()


def money_reader(currency: str) -> Callable[[str], int]:
    """A reader of major units to minor ones; more digits than the currency has are an error, not a rounding."""
    scale = 10 ** MINOR_DIGITS.get(currency, 2)
    return lambda text: _whole(_number(_ungrouped(text)) * scale)


def minor_units(text: str) -> int:
    """An amount that stands in minor units already; raises for a fraction of one."""
    return _whole(_number(_ungrouped(text)))


def _ungrouped(text: str) -> str:
    text = _AMOUNT_NOISE.sub("", text.replace("，", ","))
    return text.replace(",", "") if _GROUPED.fullmatch(text) else text


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return Decimal(text)


def _whole(number: Decimal) -> int:
    if abs(number) >= LARGEST or number != number.to_integral_value():
        raise ValueError("not a whole number of 62 bits")
    return int(number)


def gender_of(text: str) -> str:
    """``male`` or ``female``; raises for anything else."""
    try:
        return GENDERS[text.lower()]
    except KeyError:
        raise ValueError("not a gender") from None
