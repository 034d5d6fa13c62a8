"""Files as people send them: read whole, or refused with the place and the next step; never half, never a crash."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.customers.chunk import Chunk
from fairlead.customers.reading import FIELD_LIMIT, MAX_COLUMNS, detect_encoding, open_table
from fairlead.errors import InvalidInput

TEXT = '编号,姓名,备注\r\n1,王小明,"多行\n备注, 带逗号"\r\n2,李四,=1+1\r\n'
WANTED = [["1", "王小明", "多行\n备注, 带逗号"], ["2", "李四", "=1+1"]]
ENCODED = {
    "utf-8": TEXT.encode(),
    "utf-8-sig": codecs.BOM_UTF8 + TEXT.encode(),
    "gb18030": TEXT.encode("gb18030"),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16-be with mark": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
}


def read(tmp_path: Path, content: bytes) -> tuple[tuple[str, ...], list[tuple[int, list[str]]], str]:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with open_table(path) as table:
        return table.header, list(table.rows), table.encoding


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_any_usual_encoding(tmp_path: Path, name: str, packed: bool) -> None:
    content = gzip.compress(ENCODED[name]) if packed else ENCODED[name]
    header, rows, _ = read(tmp_path, content)
    assert header == ("编号", "姓名", "备注")
    assert [row for _, row in rows] == WANTED
    assert [number for number, _ in rows] == [2, 3]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_seen_by_its_zeros(encoding: str) -> None:
    assert detect_encoding("a,b\n1,2\n".encode(encoding)) == encoding


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_usual_delimiter(tmp_path: Path, delimiter: str) -> None:
    header, rows, _ = read(tmp_path, f'a{delimiter}b\n1{delimiter}"x{delimiter}y"\n'.encode())
    assert (header, rows) == (("a", "b"), [(2, ["1", f"x{delimiter}y"])])


def test_headers_are_trimmed_and_blank_lines_passed_over(tmp_path: Path) -> None:
    header, rows, _ = read(tmp_path, "\ufeff 收货地址  , b  c \n\n1,2\n\n".encode())
    assert (header, rows) == (("收货地址", "b c"), [(3, ["1", "2"])])


BROKEN = {
    "empty": (b"", "is empty"),
    "only a mark": (codecs.BOM_UTF8, "is empty"),
    "twice the same column": (b"a,a\n1,2\n", "stands twice"),
    "too many columns": (",".join(f"c{at}" for at in range(100_000)).encode(), f"at most {MAX_COLUMNS}"),
    "a cell of ten megabytes": (b"a,b\n1," + b"x" * 10_000_000, "cannot be read"),
    "a quote that never ends": (b'a,b\n1,"' + b"x,y\n" * FIELD_LIMIT, "cannot be read"),
    "gzip cut off": (gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 99)[:-12], "whole gzip|breaks off"),
    "gzip of noise": (b"\x1f\x8b" + bytes(range(256)), "whole gzip"),
    "gzip with a changed byte": (gzip.compress(b"a,b\n1,2\n" * 50)[:-6] + b"\0\0\0\0\0\0", "whole gzip|breaks off"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    content, says = BROKEN[name]
    with pytest.raises(InvalidInput, match=says) as refused:
        read(tmp_path, content)
    assert refused.value.next_step


def test_ragged_rows_and_rows_that_are_no_text_are_told_apart() -> None:
    rows = [["1", "2"], ["1"], ["1", "2", "3"], ["1", "\0"], ["\ufffd", "2"]]
    chunk = Chunk(("a", "b"), [2, 3, 4, 5, 6], rows)
    assert chunk.good() == [0]
    assert [reason for _, reason in chunk.problems.values()] == [
        "has 1 cells where the header has 2",
        "has 3 cells where the header has 2",
        "holds bytes that are no text in the file's encoding",
        "holds bytes that are no text in the file's encoding",
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300) | st.text(max_size=120).map(lambda text: text.encode("utf-8", "ignore")))
def test_no_bytes_crash_the_reader(tmp_path: Path, content: bytes) -> None:
    try:
        header, rows, _ = read(tmp_path, content)
    except InvalidInput:
        return
    chunk = Chunk(header, [number for number, _ in rows], [row for _, row in rows]) if rows else None
    assert chunk is None or len(chunk.good()) + len(chunk.problems) == len(rows)


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd\ufeff"), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=5), data=st.data())
def test_what_was_written_is_read(tmp_path: Path, rows: list[list[str]], data: Any) -> None:
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=data.draw(st.sampled_from([",", ";", "\t"])), quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    _, found, _ = read(tmp_path, text.getvalue().encode(encoding))
    assert [row for _, row in found] == rows


def test_one_spoilt_byte_is_no_other_encoding() -> None:
    whole = "姓名,城市\n" + "王小明,杭州\n" * 50
    spoilt = whole.encode()[:-3] + b"\n"
    assert detect_encoding(spoilt) == "utf-8"
    assert detect_encoding(whole.encode("gb18030")[:-2] + b"\n") == "gb18030"
    assert detect_encoding("联通\n".encode("gbk")) == "gb18030"
