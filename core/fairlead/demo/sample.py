"""The generated sample: a tea brand's customers on three islands, with the truth about who is who.

One call writes eight exports and two truth files. The same seed and number of people give the same bytes on every
machine. ``SAMPLE.md`` beside this file describes every column, every fault and how the numbers are meant to be used.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path

import numpy as np

from fairlead.demo.generator import tables
from fairlead.demo.generator.activity import make_consents, make_events, make_touches
from fairlead.demo.generator.dice import Dice
from fairlead.demo.generator.dirt import REFUSED, Line, soil
from fairlead.demo.generator.orders import make_orders
from fairlead.demo.generator.people import Person, make_people, new_phone
from fairlead.demo.generator.tables import Table

TRUTH = "truth.csv"
TRUTH_PEOPLE = "truth_people.csv"


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What one export holds: data lines without the header, its encoding, and its faulty lines by fault."""

    rows: int
    encoding: str
    faults: Mapping[str, int]

    @property
    def refused(self) -> int:
        """Lines that an import has to refuse."""
        return sum(count for fault, count in self.faults.items() if fault in REFUSED)


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """What was written, in numbers that an import can be held to.

    ``facts`` counts what is left when refused lines and duplicates are taken out: ``orders``, ``orders_paid``,
    ``total_fen``, ``paid_fen``, ``refunds``, ``refund_fen``, ``events``, ``touches``, ``consents``, ``members``.
    ``shop_phone`` is the 11 digit number of the shop, which stands on many people's orders and links nobody.
    """

    seed: int
    people: int
    shop_phone: str
    files: Mapping[str, FileSummary]
    facts: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Data lines of all exports together."""
        return sum(file.rows for file in self.files.values())

    @property
    def dirty(self) -> int:
        """Faulty lines of all exports together, duplicates included."""
        return sum(sum(file.faults.values()) for file in self.files.values())

    @property
    def refused(self) -> int:
        """Lines of all exports that an import has to refuse."""
        return sum(file.refused for file in self.files.values())


def write_sample(folder: Path, *, people: int = 2000, seed: int = 20261121) -> SampleSummary:
    """Write the sample into ``folder``, which is made if need be; files of the same names are replaced.

    :raises ValueError: ``people`` is not between 1 and 900,000 (keys and card numbers have room for no more).
    :raises OSError: the folder cannot be written.
    """
    if not 1 <= people <= 900_000:
        raise ValueError("people must be between 1 and 900,000")
    folder.mkdir(parents=True, exist_ok=True)
    who, what, around, typing, mess = (Dice(part) for part in np.random.default_rng(seed).spawn(5))
    phones: set[str] = set()
    shop_phone = new_phone(who, phones)
    persons = make_people(people, who, phones)
    truth: list[tuple[str, int, str, str]] = []
    files: dict[str, FileSummary] = {}
    facts: Counter[str] = Counter()
    for table in _tables(persons, shop_phone, what, around, typing):
        lines = soil(table, mess)
        _write(folder / table.name, table, lines)
        faults: Counter[str] = Counter()
        for number, line in enumerate(lines, 2):
            truth.append((table.name, number, line.row.person, line.fault))
            if line.fault:
                faults[line.fault] += 1
            if line.fault not in (*REFUSED, "duplicate"):
                facts.update(line.row.facts)
        files[table.name] = FileSummary(len(lines), table.encoding, dict(sorted(faults.items())))
    _write_truth(folder, truth, persons)
    return SampleSummary(seed, people, shop_phone, files, dict(sorted(facts.items())))


def _tables(persons: list[Person], shop_phone: str, what: Dice, around: Dice, typing: Dice) -> list[Table]:
    orders = make_orders(persons, what)
    return [
        tables.member_table(persons, typing),
        tables.tmall_table(orders, typing),
        tables.wechat_table(orders, typing),
        tables.till_table(orders, shop_phone, typing),
        tables.refund_table(orders, typing),
        tables.event_table(make_events(persons, around), typing),
        tables.touch_table(make_touches(persons, orders, around)),
        tables.consent_table(make_consents(persons, around), typing),
    ]


def _write(path: Path, table: Table, lines: list[Line]) -> None:
    text = StringIO()
    writer = csv.writer(text, lineterminator=table.line_end)
    writer.writerow(table.header)
    writer.writerows(line.row.values for line in lines)
    path.write_bytes(text.getvalue().encode(table.encoding))


def _write_truth(folder: Path, truth: list[tuple[str, int, str, str]], persons: list[Person]) -> None:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "line", "person", "fault"))
    writer.writerows(truth)
    (folder / TRUTH).write_bytes(text.getvalue().encode())
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("person" if column.name == "key" else column.name for column in fields(Person))
    writer.writerows(asdict(person).values() for person in persons)
    (folder / TRUTH_PEOPLE).write_bytes(text.getvalue().encode())
