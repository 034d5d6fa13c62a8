"""One small interface for bulk writes: ``executemany`` on SQLite, binary ``COPY`` on PostgreSQL.

Rows are columns: a mapping from column name to a sequence, all of one length. Nothing here reads; the tenant column is
required and checked, since the ORM's criteria do not reach this path (row-level security still does).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from fairlead.storage.base import Tenant
from fairlead.storage.scope import ScopeViolation
from fairlead.storage.session import ScopedSession

Columns = Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]

_COPY_TYPES = {"BIGINT": "int8", "INTEGER": "int4", "SMALLINT": "int2", "BYTEA": "bytea", "TEXT": "text"}


def insert(session: ScopedSession, entity: type[Tenant], columns: Columns, *, ignore_known: bool = False) -> int:
    """Append rows to ``entity``'s table in the session's client and say how many were new.

    ``columns`` leaves ``client_id`` out. With ``ignore_known`` a row that meets a unique constraint is passed over;
    without it that is an error. Values are as the driver takes them: instants in epoch milliseconds, JSON as text.
    """
    table: sa.Table = entity.__table__  # type: ignore[attr-defined]
    names = list(columns)
    if "client_id" in names:
        raise ScopeViolation("the client is the session's")
    lists = [values.tolist() if isinstance(values, np.ndarray) else values for values in columns.values()]
    if not lists or not len(lists[0]):
        return 0
    client_id = session.client_id
    session.flush()
    connection = session.connection()
    rows: Iterable[tuple[Any, ...]] = zip(*lists, strict=True)
    if session.is_postgresql:
        return _copy(connection, table, names, rows, client_id, ignore_known)
    return _execute_many(connection, table, names, rows, client_id, ignore_known)


def _execute_many(
    connection: sa.Connection,
    table: sa.Table,
    names: list[str],
    rows: Iterable[tuple[Any, ...]],
    client_id: int,
    ignore_known: bool,
) -> int:
    verb = "INSERT OR IGNORE" if ignore_known else "INSERT"
    marks = ", ".join("?" * len(names))
    quoted = ", ".join(f'"{name}"' for name in names)
    raw = connection.connection.driver_connection
    assert raw is not None
    cursor = raw.executemany(
        f'{verb} INTO "{table.name}" (client_id, {quoted}) VALUES ({int(client_id)}, {marks})',  # noqa: S608 -- names are ours
        rows,
    )
    return int(cursor.rowcount)


def _copy(
    connection: sa.Connection,
    table: sa.Table,
    names: list[str],
    rows: Iterable[tuple[Any, ...]],
    client_id: int,
    ignore_known: bool,
) -> int:
    raw = connection.connection.driver_connection
    assert raw is not None
    types = ["int8", *(_copy_type(table.c[name], connection.dialect) for name in names)]
    json_at = [at for at, name in enumerate(names, 1) if isinstance(table.c[name].type, sa.JSON)]
    quoted = ", ".join(f'"{name}"' for name in ("client_id", *names))
    target = f'"{table.name}"'
    with raw.cursor() as cursor:
        if ignore_known:
            # COPY has no ON CONFLICT, so the rows pass through a table of this transaction.
            cursor.execute(
                f'CREATE TEMP TABLE fairlead_bulk ON COMMIT DROP AS SELECT {quoted} FROM {target} WITH NO DATA'  # noqa: S608
            )
            target = "fairlead_bulk"
        with cursor.copy(f"COPY {target} ({quoted}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(_as_jsonb((client_id, *row), json_at) if json_at else (client_id, *row))
        written = int(cursor.rowcount)
        if ignore_known:
            cursor.execute(
                f'INSERT INTO "{table.name}" ({quoted}) SELECT {quoted} FROM fairlead_bulk ON CONFLICT DO NOTHING'  # noqa: S608
            )
            written = int(cursor.rowcount)
            cursor.execute("DROP TABLE fairlead_bulk")
    return written


def _as_jsonb(row: tuple[Any, ...], json_at: list[int]) -> list[Any]:
    """The binary form of jsonb is a version byte and the text, so it travels as raw bytes."""
    values = list(row)
    for at in json_at:
        if values[at] is not None:
            values[at] = b"\x01" + values[at].encode()
    return values


def _copy_type(column: sa.Column[Any], dialect: sa.Dialect) -> str:
    name = str(column.type.compile(dialect=dialect)).upper()
    if name.startswith("VARCHAR") or name.startswith("CHAR"):
        return "text"
    if name.startswith("JSONB"):
        return "bytea"
    if name in ("DOUBLE PRECISION", "FLOAT"):
        return "float8"
    if name == "BOOLEAN":
        return "bool"
    if name == "DATE":
        return "date"
    return _COPY_TYPES[name]
