"""A stretch of a file's rows, read by columns; rows with a problem are set aside and the rest has one length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from fairlead.customers.cells import Problems, fold, minor_units, money_reader, read_column
from fairlead.customers.identifiers import looks_personal, normalise
from fairlead.customers.linking import ClaimColumn
from fairlead.customers.mapping import IdentityColumn, Source, is_currency
from fairlead.errors import InvalidInput

T = TypeVar("T")
FIRST_ROWS = 10
SAMPLE = 2_000
UNREADABLE = ("\0", "\ufffd")


class Chunk:
    """``rows`` are cut or refused to the header's length; ``numbers`` are their places in the file."""

    def __init__(self, header: Sequence[str], numbers: Sequence[int], rows: Sequence[list[str]]) -> None:
        self.problems: Problems = {}
        self.dropped: dict[str, int] = {}
        self.numbers = numbers
        self.rows = rows
        width = len(header)
        even = rows
        if set(map(len, rows)) - {width}:
            even = [row if len(row) == width else [""] * width for row in rows]
            for at, row in enumerate(rows):
                if len(row) != width:
                    self.problems[at] = ("", f"has {len(row)} cells where the header has {width}")
        columns = list(zip(*even, strict=True))
        # Nearly every chunk is clean, and a whole column is searched as fast as a row.
        if any(_unreadable("".join(column)) for column in columns):
            for at, row in enumerate(even):
                if _unreadable("".join(row)):
                    self.problems[at] = ("", "holds bytes that are no text in the file's encoding")
        self._columns = dict(zip(header, columns, strict=True))

    def __len__(self) -> int:
        return len(self.rows)

    def cells(self, column: str) -> Sequence[str]:
        """The raw cells of a column."""
        return self._columns[column]

    def read(
        self, column: str | None, read: Callable[[str], T], reason: str, *, optional: bool = True
    ) -> list[T | None]:
        """A typed column; all ``None`` when the mapping does not name one."""
        if column is None:
            return [None] * len(self.rows)
        return read_column(self.cells(column), column, read, self.problems, reason, optional=optional)

    def money(
        self, column: str | None, currencies: Sequence[str | None], reason: str, *, minor: bool, optional: bool = True
    ) -> list[int | None]:
        """Amounts in minor units of each row's own currency; ``minor`` says that they stand in those already."""
        used = set(filter(None, currencies))
        if minor or len(used) < 2:
            read = minor_units if minor else money_reader(next(iter(used), "CNY"))
            return self.read(column, read, reason, optional=optional)
        if column is None:
            return [None] * len(self.rows)
        readers = {currency: money_reader(currency) for currency in used}
        # The reader sees each distinct text once, so the currency is made a part of it.
        pairs = zip(self.cells(column), currencies, strict=True)
        cells = [f"{currency or min(used)}{cell}" if cell.strip() else "" for cell, currency in pairs]

        def amount(text: str) -> int:
            return readers[text[:3]](text[3:].strip())

        return read_column(cells, column, amount, self.problems, reason, optional=optional)

    def text(self, column: str | None, limit: int, *, optional: bool = True) -> list[str | None]:
        """A column of text of at most ``limit`` characters."""

        def short(text: str) -> str:
            if len(text) > limit:
                raise ValueError
            return text

        return self.read(column, short, f"is longer than {limit} characters", optional=optional)

    def choice(
        self, source: Source, allowed: Sequence[str] | None, limit: int = 80, *, blank: str | None = None
    ) -> list[str | None]:
        """A constant, or a column translated by the source's values and held to ``allowed``.

        An empty cell is a problem, or stands for ``blank`` where that is given.
        """
        if source.constant is not None:
            return [source.constant] * len(self.rows)

        def translate(text: str) -> str:
            text = source.values.get(text, text)
            if len(text) > limit or (allowed is not None and text not in allowed):
                raise ValueError
            return text

        reason = f"is none of {', '.join(allowed)}" if allowed else f"is longer than {limit} characters"
        found = self.read(source.column, translate, reason, optional=blank is not None)
        return found if blank is None else [blank if value is None else value for value in found]

    def currencies(self, source: Source) -> list[str | None]:
        """Currency codes of the rows (ISO 4217)."""
        if source.constant is not None:
            return [source.constant] * len(self.rows)

        def code(text: str) -> str:
            text = source.values.get(text, text)
            if not is_currency(text):
                raise ValueError
            return text

        return self.read(source.column, code, "is no ISO 4217 code", optional=False)

    def drop(self, at: Sequence[int], column: str, reason: str) -> None:
        """Reject rows that turned out to be of no use only when they were about to be stored."""
        for index in at:
            self.problems.setdefault(index, (column, reason))

    def identities(self, columns: Sequence[IdentityColumn], region: str) -> list[ClaimColumn]:
        """Claims, normalised. A cell that is no such identity is left out and counted, the rest of its row stays."""
        claims = []
        for identity in columns:
            kind = identity.kind
            cells: Sequence[str] = self.cells(identity.column)
            if identity.when is not None:
                flag, wanted = identity.when
                cells = [cell if mark == wanted else "" for cell, mark in zip(cells, self.cells(flag), strict=True)]

            def comparable(text: str, kind: str = kind) -> str:
                value = normalise(kind, text, region)
                if value is None:
                    raise ValueError
                return value

            unreadable: Problems = {}
            values = read_column(cells, identity.column, comparable, unreadable, f"is no {kind}", optional=True)
            if unreadable:
                reason = f"{identity.column} is no {kind}"
                self.dropped[reason] = self.dropped.get(reason, 0) + len(unreadable.keys() - self.problems.keys())
            claims.append(ClaimColumn(kind, values, identity.scope))
        return claims

    def refuse_personal(self, *columns: str | None) -> None:
        """Raise when a column that is kept in clear holds phones or mail addresses: those are identities.

        Looks at the first rows of a file, before anything of it is stored.
        """
        if self.numbers and self.numbers[0] > FIRST_ROWS:
            return
        for column in filter(None, columns):
            cells = [fold(cell) for cell in self.cells(column)[:SAMPLE] if cell.strip()]
            personal = sum(map(looks_personal, cells))
            if personal >= 3 and personal * 5 >= len(cells) * 4:
                raise InvalidInput(
                    f"the column {column!r} holds phone numbers or mail addresses",
                    path=("mapping", column),
                    next_step="map it as an identity: those are stored encrypted",
                )

    def properties(
        self, columns: dict[str, str], typed: Mapping[str, Sequence[str | None]] | None = None
    ) -> list[str | None]:
        """JSON text of the cells kept beside the fact and of ``typed`` columns, empty ones left out."""
        self.refuse_personal(*columns.values())
        kept = {name: self.cells(column) for name, column in columns.items()} | dict(typed or {})
        if not kept:
            return [None] * len(self.rows)
        names = list(kept)
        cells = zip(*kept.values(), strict=True)
        return [
            orjson.dumps({name: cell for name, cell in zip(names, row, strict=True) if cell}).decode() for row in cells
        ]

    def source_ids(self, columns: Sequence[str], fallback: str, limit: int | None = None) -> list[str]:
        """What tells rows apart: the named columns, or the file and the row's number; ``limit`` is in characters."""
        if not columns:
            return [f"{fallback}:{number}" for number in self.numbers]
        if len(columns) == 1:
            texts = [fold(cell) for cell in self.cells(columns[0])]
        else:
            texts = ["\x1f".join(row) for row in zip(*(self.cells(column) for column in columns), strict=True)]
        for at, text in enumerate(texts):
            if not text.strip("\x1f "):
                self.problems.setdefault(at, (columns[0], "is empty"))
            elif limit is not None and len(text) > limit:
                self.problems.setdefault(at, (columns[0], f"is longer than {limit} characters"))
        return texts

    def good(self) -> list[int]:
        """Indexes of the rows without a problem."""
        return [at for at in range(len(self.rows)) if at not in self.problems]


def _unreadable(text: str) -> bool:
    return any(mark in text for mark in UNREADABLE)


def pick(values: Sequence[Any], at: Sequence[int]) -> list[Any]:
    """The values at these indexes, which rise."""
    if len(at) == len(values):
        return list(values)
    return [values[index] for index in at]


def pick_claims(claims: Sequence[ClaimColumn], at: Sequence[int]) -> list[ClaimColumn]:
    """The claims of these rows."""
    return [ClaimColumn(claim.kind, pick(claim.values, at), claim.scope) for claim in claims]
