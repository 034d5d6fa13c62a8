"""One small interface for bulk writes: ``executemany`` on SQLite, binary ``COPY`` on PostgreSQL.

Rows come as columns: a mapping from column name to a sequence, all of one length. Nothing here reads. The client is
the session's, always, since the ORM's criteria do not reach this path (row-level security still does).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from fairlead.storage.base import Base
from fairlead.storage.scope import ScopeViolation
from fairlead.storage.session import ScopedSession

Columns = Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]

_COPY_TYPES = {
    "BIGINT": "int8",
    "INTEGER": "int4",
    "SMALLINT": "int2",
    "BYTEA": "bytea",
    "TEXT": "text",
    "JSONB": "bytea",
    "DOUBLE PRECISION": "float8",
    "BOOLEAN": "bool",
    "DATE": "date",
}


@dataclass(frozen=True, slots=True)
class NewerWins:
    """What happens when ``key`` is known: every column but ``keep`` is replaced if ``version`` is greater.

    Columns in ``fill`` keep their old value where the new one is null.
    """

    key: tuple[str, ...]
    version: str
    keep: tuple[str, ...] = ()
    fill: tuple[str, ...] = ()

    def clause(self, table: str, names: Sequence[str]) -> str:
        """The ON CONFLICT clause."""
        changes = []
        for name in names:
            if name in self.keep or name in self.key:
                continue
            new = f'excluded."{name}"'
            value = f'coalesce({new}, "{table}"."{name}")' if name in self.fill else new
            changes.append(f'"{name}" = {value}')
        key = ", ".join(f'"{name}"' for name in ("client_id", *self.key))
        return (
            f"ON CONFLICT ({key}) DO UPDATE SET {', '.join(changes)}"
            f' WHERE excluded."{self.version}" > "{table}"."{self.version}"'
        )


def insert(
    session: ScopedSession,
    entity: type[Base],
    columns: Columns,
    *,
    ignore_known: bool = False,
    newer_wins: NewerWins | None = None,
) -> int:
    """Write rows to ``entity``'s table in the session's client; the answer is how many rows it took or changed.

    ``columns`` leaves ``client_id`` out. With ``ignore_known`` a row that meets a unique constraint is passed over, with
    ``newer_wins`` it may replace the known one; with neither it is an error. Values are as the driver takes them:
    instants in epoch milliseconds, JSON as text.
    """
    table: sa.Table = entity.__table__  # type: ignore[assignment]
    names = list(columns)
    if "client_id" in names:
        raise ScopeViolation("the client is the session's")
    lists = [values.tolist() if isinstance(values, np.ndarray) else values for values in columns.values()]
    if not lists or not len(lists[0]):
        return 0
    client_id = session.client_id
    session.flush()
    connection = session.connection()
    rows = zip(*lists, strict=True)
    conflict = newer_wins.clause(table.name, names) if newer_wins else "ON CONFLICT DO NOTHING" if ignore_known else ""
    if session.is_postgresql:
        return _copy(connection, table, names, rows, client_id, conflict, newer_wins)
    return _execute_many(connection, table, names, rows, client_id, conflict)


def update(session: ScopedSession, entity: type[Base], columns: Columns, *, only_missing: bool = False) -> int:
    """Change rows of the session's client by ``id``; a null leaves the old value, as does ``only_missing`` where one is.

    ``columns`` holds ``id`` and the columns to change. The answer is how many rows were met.
    """
    table: sa.Table = entity.__table__  # type: ignore[assignment]
    names = [name for name in columns if name != "id"]
    order = ["id", *names]
    lists = [columns[name].tolist() if isinstance(columns[name], np.ndarray) else columns[name] for name in order]
    if not len(lists[0]):
        return 0
    session.flush()
    connection = session.connection()
    client_id = int(session.client_id)
    raw = connection.connection.driver_connection
    assert raw is not None
    if not session.is_postgresql:
        pairs = ((f'"{name}"', "?") for name in names)
        changes = ", ".join(f"{name} = {_prefer(name, mark, only_missing)}" for name, mark in pairs)
        statement = f'UPDATE "{table.name}" SET {changes} WHERE client_id = {client_id} AND id = ?'  # noqa: S608 - names are ours
        return int(raw.executemany(statement, zip(*lists[1:], lists[0], strict=True)).rowcount)
    with raw.cursor() as cursor:
        quoted = _quoted(order)
        cursor.execute(f'CREATE TEMP TABLE fairlead_bulk ON COMMIT DROP AS SELECT {quoted} FROM "{table.name}" LIMIT 0')  # noqa: S608
        _send(cursor, "fairlead_bulk", table, order, zip(*lists, strict=True), connection.dialect)
        pairs = ((f'"{name}"', f'n."{name}"') for name in names)
        changes = ", ".join(f"{name} = {_prefer(f't.{name}', new, only_missing)}" for name, new in pairs)
        cursor.execute(
            f'UPDATE "{table.name}" t SET {changes} FROM fairlead_bulk n WHERE t.client_id = {client_id} AND t.id = n.id'  # noqa: S608
        )
        met = int(cursor.rowcount)
        cursor.execute("DROP TABLE fairlead_bulk")
    return met


def _prefer(old: str, new: str, only_missing: bool) -> str:
    return f"coalesce({old}, {new})" if only_missing else f"coalesce({new}, {old})"


def _execute_many(
    connection: sa.Connection,
    table: sa.Table,
    names: list[str],
    rows: Iterable[tuple[Any, ...]],
    client_id: int,
    conflict: str,
) -> int:
    marks = ", ".join("?" * len(names))
    raw = connection.connection.driver_connection
    assert raw is not None
    cursor = raw.executemany(
        f'INSERT INTO "{table.name}" (client_id, {_quoted(names)}) VALUES ({int(client_id)}, {marks}) {conflict}',  # noqa: S608 - names are ours
        rows,
    )
    return int(cursor.rowcount)


def _copy(
    connection: sa.Connection,
    table: sa.Table,
    names: list[str],
    rows: Iterable[tuple[Any, ...]],
    client_id: int,
    conflict: str,
    newer_wins: NewerWins | None,
) -> int:
    raw = connection.connection.driver_connection
    assert raw is not None
    names = ["client_id", *names]
    quoted = _quoted(names)
    with raw.cursor() as cursor:
        # COPY knows neither row-level security nor ON CONFLICT, so rows pass through a table of this transaction.
        cursor.execute(f'CREATE TEMP TABLE fairlead_bulk ON COMMIT DROP AS SELECT {quoted} FROM "{table.name}" LIMIT 0')  # noqa: S608
        client_rows = ((client_id, *row) for row in rows)
        _send(cursor, "fairlead_bulk", table, names, client_rows, connection.dialect)
        once = ""
        if newer_wins:
            # One statement may not change a row twice, so only the newest of equal keys goes on.
            key = _quoted(newer_wins.key)
            once = f"DISTINCT ON ({key}) "
            conflict = f'ORDER BY {key}, "{newer_wins.version}" DESC {conflict}'
        cursor.execute(f'INSERT INTO "{table.name}" ({quoted}) SELECT {once}{quoted} FROM fairlead_bulk {conflict}')  # noqa: S608
        written = int(cursor.rowcount)
        cursor.execute("DROP TABLE fairlead_bulk")
    return written


def _send(
    cursor: Any,
    target: str,
    table: sa.Table,
    names: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    dialect: sa.Dialect,
) -> None:
    json_at = [at for at, name in enumerate(names) if isinstance(table.c[name].type, sa.JSON)]
    with cursor.copy(f"COPY {target} ({_quoted(names)}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types([_copy_type(table.c[name], dialect) for name in names])
        for row in rows:
            copy.write_row(_as_jsonb(row, json_at) if json_at else row)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _as_jsonb(row: tuple[Any, ...], json_at: list[int]) -> list[Any]:
    """The binary form of jsonb is a version byte and the text, so it travels as raw bytes."""
    values = list(row)
    for at in json_at:
        if values[at] is not None:
            values[at] = b"\x01" + values[at].encode()
    return values


def _copy_type(column: sa.Column[Any], dialect: sa.Dialect) -> str:
    name = str(column.type.compile(dialect=dialect)).upper().partition("(")[0]
    return "text" if name in ("VARCHAR", "CHAR") else _COPY_TYPES[name]
