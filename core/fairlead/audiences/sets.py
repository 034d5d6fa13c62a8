"""Rows added and taken away by a query, in one statement: the writes behind segments and tags.

The ORM's criteria do not reach ``INSERT … SELECT``, so the client is written here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from fairlead.storage.base import Base
from fairlead.work import Work


def insert_selected(work: Work, entity: type[Base], names: tuple[str, ...], query: Any) -> int:
    """Insert what ``query`` selects, column by column into ``names``, as the client's; give the number of rows."""
    table: sa.Table = entity.__table__  # type: ignore[assignment]
    found = query.subquery()
    client = sa.literal(work.client_id, sa.BigInteger)
    work.session.flush()
    statement = sa.insert(table).from_select(["client_id", *names], sa.select(client, *found.c))
    # Without the option the dialect for PostgreSQL does not ask the driver how many rows an INSERT wrote.
    return int(work.session.bare(statement.execution_options(preserve_rowcount=True)).rowcount)


def delete_selected(work: Work, entity: Any, *conditions: Any, people: Any) -> int:
    """Delete rows of ``entity`` that satisfy the conditions and whose profile ``people`` selects; give their number."""
    found = people.subquery()
    statement = sa.delete(entity).where(*conditions, entity.profile_id.in_(sa.select(found.c.profile_id)))
    with _hashed(work):
        result = work.session.execute(statement, execution_options={"synchronize_session": False})
    return int(result.rowcount)  # type: ignore[attr-defined]


@contextmanager
def _hashed(work: Work) -> Iterator[None]:
    """Keep PostgreSQL from nested loops inside the block.

    A table that this transaction has just filled has no statistics. The planner then expects one row and loops over
    the other side for each of many thousands, which was measured to take minutes instead of milliseconds.
    """
    if not work.session.is_postgresql:
        yield
        return
    setting = sa.text("SELECT set_config('enable_nestloop', :state, true)")
    work.session.bare(setting, {"state": "off"})
    yield
    work.session.bare(setting, {"state": "on"})
