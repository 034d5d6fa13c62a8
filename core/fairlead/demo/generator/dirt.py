"""The dirt: every kind of broken row that real exports bring, put in on purpose and written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fairlead.demo.generator.dice import Dice
from fairlead.demo.generator.tables import Row, Table

SHARE: Final = 0.04
REFUSED: Final = ("broken_date", "bad_amount", "missing_id", "ragged")
"""Faults after which nothing trustworthy is left: an import reports the line and stores nothing of it."""
TOLERATED: Final = ("duplicate", "full_width", "bad_phone")
"""Faults that an import repairs or passes over: stored once, digits folded, the unusable phone left out."""

_BROKEN_DATES = ("2026-13-45 99:99:99", "0000-00-00 00:00:00", "昨天下午", "1900/1/0", "2026-02-30 10:00:00")
_BAD_AMOUNTS = ("12O.50", "一百二十八", "N/A", "#REF!", "12.5.0", "abc")
_BAD_PHONES = ("12345678901", "1380013800", "10000000000", "1.38E+10", "138****8000", "无", "010-6655")
_FULL_WIDTH = str.maketrans("0123456789.", "０１２３４５６７８９．")


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it goes into a file, with its fault (``""`` for a clean line)."""

    row: Row
    fault: str


def soil(table: Table, dice: Dice) -> list[Line]:
    """The table's rows with about :data:`SHARE` of them spoilt; duplicates stand a little below their originals.

    Rows that another file relies on (an order that has a refund) get only faults that leave them usable.
    """
    lines: list[Line] = []
    pending: list[tuple[int, Row]] = []  # duplicates, by the number of lines after which they follow
    for row in table.rows:
        fault = dice.one_of(_possible(table, row)) if dice.chance(SHARE) else ""
        if fault == "duplicate":
            pending.append((len(lines) + dice.between(1, 40), row))
            lines.append(Line(row, ""))
        else:
            lines.append(Line(_spoil(table, row, fault, dice) if fault else row, fault))
        while pending and pending[0][0] <= len(lines):
            lines.append(Line(pending.pop(0)[1], "duplicate"))
    lines += [Line(row, "duplicate") for _, row in pending]
    return lines


def _possible(table: Table, row: Row) -> list[str]:
    filled = {name for name, value in zip(table.header, row.values, strict=True) if value}
    faults = ["duplicate"]
    if table.phone in filled:
        faults += ["bad_phone", "full_width"]
    if table.amount and "full_width" not in faults:
        faults.append("full_width")
    if not row.relied_on:
        faults += ["broken_date", "missing_id", "ragged"] + (["bad_amount"] if table.amount else [])
    return faults


def _spoil(table: Table, row: Row, fault: str, dice: Dice) -> Row:
    if fault == "ragged":
        values = row.values[: -dice.between(1, 3)] if dice.chance(0.6) else (*row.values, "多余列")
        return Row(values, row.person, row.facts)
    column, value = {
        "broken_date": (table.moment, dice.one_of(_BROKEN_DATES)),
        "bad_amount": (table.amount, dice.one_of(_BAD_AMOUNTS)),
        "missing_id": (table.required, ""),
        "bad_phone": (table.phone, dice.one_of(_BAD_PHONES)),
        "full_width": (_full_width_column(table, row), ""),
    }[fault]
    place = table.header.index(column)
    if fault == "full_width":
        value = row.values[place].translate(_FULL_WIDTH)
    return Row((*row.values[:place], value, *row.values[place + 1 :]), row.person, row.facts)


def _full_width_column(table: Table, row: Row) -> str:
    """The phone where one is written, else the amount."""
    if table.phone and row.values[table.header.index(table.phone)]:
        return table.phone
    return table.amount or table.moment
