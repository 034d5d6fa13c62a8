"""How SQLite carries out statements: what an index is there for, without a table large enough to feel it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from fairlead.storage.database import Database


def explained(database: Database, about: str) -> list[tuple[str, str]]:
    """A list that fills with (statement, step of its plan) for each statement from now on that names ``about``.

    Skips the test on PostgreSQL, which plans by its statistics, and a small table has none.
    """
    if not database.is_sqlite:
        pytest.skip("PostgreSQL plans by its statistics, which a small table does not have")
    found: list[tuple[str, str]] = []

    def note(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if many or about not in statement or not statement.startswith(("SELECT", "UPDATE", "INSERT")):
            return
        raw = connection.connection.driver_connection
        found.extend((statement, row[3]) for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    return found
