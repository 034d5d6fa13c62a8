"""Reading export files as people really send them: any delimiter, UTF-8 with or without BOM, UTF-16, GBK, gzip."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from fairlead.customers.mapping import clean_header
from fairlead.errors import InvalidInput

SAMPLE = 256 * 1024
FIELD_LIMIT = 1024 * 1024
MAX_COLUMNS = 2000
DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Table:
    """An open file: its header, and rows with their number (the header is row 1) and a reason when they are ragged."""

    header: tuple[str, ...]
    encoding: str
    delimiter: str
    rows: Iterator[tuple[int, list[str]]]


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a delimited file, possibly gzipped. Raises :class:`InvalidInput` with what is wrong and the next step."""
    with path.open("rb") as raw:
        plain = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
        try:
            sample = plain.read(SAMPLE)
        except (OSError, EOFError, zlib.error):
            raise InvalidInput("the file is not a whole gzip file", next_step="send it again") from None
        encoding = detect_encoding(sample)
        plain.seek(0)
        text = io.TextIOWrapper(plain, encoding=encoding, errors="replace", newline="")
        head = sample.decode(encoding, errors="ignore")
        delimiter = _delimiter(head)
        csv.field_size_limit(FIELD_LIMIT)
        reader = csv.reader(text, delimiter=delimiter)
        rows = _rows(reader)
        try:
            _, first = next(rows)
        except StopIteration:
            raise InvalidInput("the file is empty", next_step="send a file with a header row") from None
        header = tuple(clean_header(name) for name in first)
        _check_header(header)
        yield Table(header, encoding, delimiter, rows)


def detect_encoding(sample: bytes) -> str:
    """The encoding of a text file: by its byte-order mark, else UTF-8 if nearly all of it decodes, else GB18030,
    which holds GBK."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if sample.startswith(mark):
            return name
    zeros = sample[:2000].count(0)
    if zeros > len(sample[:2000]) // 4:
        return "utf-16-le" if sample[1:2] == b"\0" else "utf-16-be"
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    broken = text.count("\ufffd")
    # One spoilt byte makes no other encoding of a file: text in GB18030 is hardly ever well-formed UTF-8 by chance.
    whole = sum(1 for character in text if character > "\x7f") - broken
    return "utf-8" if broken * 10 <= whole else "gb18030"


def _delimiter(head: str) -> str:
    line = head.split("\n", 1)[0]
    return max(DELIMITERS, key=line.count) if any(mark in line for mark in DELIMITERS) else ","


def _rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    number = 0
    try:
        for number, row in enumerate(reader, 1):
            if row:
                yield number, row
    except csv.Error as error:
        raise InvalidInput(
            f"row {number + 1} cannot be read: {error}",
            path=("file", number + 1),
            next_step="mend the row and send the file again",
        ) from None
    except (OSError, EOFError, zlib.error):
        raise InvalidInput(
            f"the file breaks off after row {number}", path=("file", number + 1), next_step="send it again whole"
        ) from None


def _check_header(header: tuple[str, ...]) -> None:
    if len(header) > MAX_COLUMNS:
        raise InvalidInput(
            f"the header has {len(header)} columns, at most {MAX_COLUMNS} are read",
            path=("file", 1),
            next_step="leave out columns that are not needed",
        )
    seen: set[str] = set()
    for name in header:
        if name and name in seen:
            raise InvalidInput(
                f"the column {name!r} stands twice in the header", path=("file", 1), next_step="rename one of them"
            )
        seen.add(name)
