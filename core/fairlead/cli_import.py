"""What ``fairlead import`` does after the import itself: writing down what was rejected."""

from __future__ import annotations

import csv
from pathlib import Path

from fairlead.customers.imports import rejected_rows
from fairlead.runtime import Fairlead


def write_rejects(runtime: Fairlead, client: str, import_id: int, path: Path) -> None:
    """A CSV file of line, column and reason; the rows themselves, which may hold personal data, stay sealed."""
    with runtime.reading(client) as work, path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("line", "column", "reason"))
        rows.writerows((line, _harmless(column), reason) for line, column, reason in rejected_rows(work, import_id))


def _harmless(cell: str) -> str:
    """A header of somebody's file as text: spreadsheets run what begins like a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
