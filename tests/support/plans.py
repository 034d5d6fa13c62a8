"""How a database carries out the statements that really run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event


@contextmanager
def explained(engine: sa.Engine, wanted: Callable[[str], bool]) -> Iterator[list[tuple[str, str]]]:
    """Statement and plan of each wanted statement that runs in the block.

    PostgreSQL would scan a small table whatever its indexes, so its plans are asked for with scans switched off.
    """
    found: list[tuple[str, str]] = []

    def note(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if many or not wanted(statement):
            return
        raw = connection.connection.driver_connection
        if connection.dialect.name == "sqlite":
            plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        else:
            with raw.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
                plan = [row[0] for row in cursor.execute(f"EXPLAIN {statement}", parameters)]
                cursor.execute("SET LOCAL enable_seqscan = on")
        found.append((statement, "\n".join(plan)))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def steps_of(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Statement and step, one by one; skips the test on PostgreSQL, whose steps are worded otherwise."""
    if any("cost=" in plan for _, plan in found):
        pytest.skip("these are SQLite's words for a plan")
    return [(statement, step) for statement, plan in found for step in plan.splitlines()]
