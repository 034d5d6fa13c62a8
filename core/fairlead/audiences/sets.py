"""Rows made out of a query, in one statement: the write behind segments and tags.

The ORM's criteria do not reach ``INSERT … SELECT``, so the client is written here and nowhere else.
"""

from __future__ import annotations

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
