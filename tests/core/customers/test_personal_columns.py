"""Phones and mail addresses are identities or nothing: they never land in a column that is kept in clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.customers.identifiers import normalise
from fairlead.customers.imports import import_file, parse_mapping
from fairlead.errors import InvalidInput
from fairlead.facts.model import Event

MAPPING: dict[str, Any] = {
    "fact": "events",
    "source": "app",
    "channel": {"constant": "app"},
    "type": {"constant": "call"},
    "at": "at",
    "identities": [{"kind": "member", "column": "member"}],
}


def _file(folder: Path, *cells: str) -> Path:
    path = folder / "calls.csv"
    rows = [f"m{at},2026-01-01 10:00:0{at},{cell}" for at, cell in enumerate(cells)]
    path.write_text("\n".join(["member,at,extra", *rows]), "utf-8")
    return path


@pytest.mark.parametrize("use", [{"item": "extra"}, {"category": "extra"}, {"properties": {"p": "extra"}}])
@pytest.mark.parametrize("cells", [("13812345678", "+86 139 1234 5678", "13712345678"), ("a@b.example",) * 3])
def test_a_personal_column_is_refused_before_anything_is_stored(
    runtime: Any, agency: Any, tmp_path: Path, use: dict[str, Any], cells: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput, match="phone numbers or mail addresses"):
        import_file(runtime, "acme", _file(tmp_path, *cells), parse_mapping(MAPPING | use))
    with runtime.reading("acme") as work:
        assert work.session.scalar(sa.select(sa.func.count()).select_from(Event)) == 0


def test_numbers_that_only_look_a_little_alike_are_kept(runtime: Any, agency: Any, tmp_path: Path) -> None:
    cells = ("13812345678", "620123", "TEA-1", "55233")
    done = import_file(runtime, "acme", _file(tmp_path, *cells), parse_mapping(MAPPING | {"item": "extra"}))
    assert (done.accepted, done.rejected) == (4, 0)


@pytest.mark.parametrize("text", ["无", " NULL ", "n/a", "0", "-", "未知", "Undefined"])
def test_words_for_nothing_are_nobody(text: str) -> None:
    assert normalise("member", text) is None
