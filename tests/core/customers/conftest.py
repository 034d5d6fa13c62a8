"""A client to bring people and files into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fairlead.customers.identifiers import normalise
from fairlead.customers.imports import ImportSummary, import_file, parse_mapping
from fairlead.customers.linking import ClaimColumn, Linked, link
from fairlead.runtime import Fairlead
from fairlead.work import Work


@dataclass
class Desk:
    """The client ``acme`` of an agency, and a folder for its files."""

    runtime: Fairlead
    folder: Path
    client: str = "acme"

    def bring(self, content: bytes | str, mapping: Mapping[str, Any], name: str = "file.csv") -> ImportSummary:
        """Import a file with this content."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return import_file(self.runtime, self.client, path, parse_mapping(mapping))

    def link(self, work: Work, rows: Sequence[Mapping[str, str]], source: str = "test") -> Linked:
        """Link rows given as kind to value; kinds stand in the order in which they first come."""
        kinds = dict.fromkeys(kind for row in rows for kind in row) or {"member": None}
        columns = [ClaimColumn(kind, [row.get(kind) and normalise(kind, row[kind]) for row in rows]) for kind in kinds]
        return link(work, columns, source)


@pytest.fixture
def desk(runtime: Fairlead, agency: Any, tmp_path: Path) -> Desk:
    """The desk of ``acme``."""
    assert agency.acme
    return Desk(runtime, tmp_path)


@pytest.fixture
def make_desk(build_runtime: Callable[..., Fairlead]) -> Callable[..., Fairlead]:
    """A second runtime on the same database, as another process has one."""
    return build_runtime
