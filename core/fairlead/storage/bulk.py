"""One small interface for bulk writes: ``executemany`` on SQLite, binary ``COPY`` on PostgreSQL.

Rows come as columns: a mapping from column name to a sequence, all of one length. Nothing here reads. The client is
the session's, always, since the ORM's criteria do not reach this path (row-level security still does).
"""

from __future__ import annotations

import datetime as dt
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

    Columns in ``fill`` keep their old value where the new one is null. Of equal versions the first stays, unless the
    later one has what ``tie`` names: a column and the value that wins.
    """

    key: tuple[str, ...]
    version: str
    keep: tuple[str, ...] = ()
    fill: tuple[str, ...] = ()
    tie: tuple[str, str] | None = None

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
        version = f'"{self.version}"'
        newer = f'excluded.{version} > "{table}".{version}'
        if self.tie:
            column, value = self.tie
            same = f'excluded.{version} = "{table}".{version} AND "{table}"."{column}" <> excluded."{column}"'
            newer += f" OR {same} AND excluded.\"{column}\" = '{value}'"
        return f"ON CONFLICT ({key}) DO UPDATE SET {', '.join(changes)} WHERE {newer}"

    def fold(self, names: Sequence[str], columns: list[Sequence[Any]]) -> list[Sequence[Any]]:
        """The columns with each key once, as if the rows had been written one after the other."""
        keys = list(zip(*(columns[names.index(name)] for name in self.key), strict=True))
        if len(set(keys)) == len(keys):
            return columns
        version = names.index(self.version)
        tie = (names.index(self.tie[0]), self.tie[1]) if self.tie else None
        changing = [at for at, name in enumerate(names) if name not in (*self.key, *self.keep)]
        filled = {names.index(name) for name in self.fill}
        known: dict[tuple[Any, ...], list[Any]] = {}
        for key, row in zip(keys, zip(*columns, strict=True), strict=True):
            old = known.setdefault(key, list(row))
            newer = row[version] > old[version]
            if not newer and tie is not None and row[version] == old[version]:
                newer = row[tie[0]] == tie[1] != old[tie[0]]
            if newer:
                for at in changing:
                    old[at] = old[at] if row[at] is None and at in filled else row[at]
        return list(zip(*known.values(), strict=True))


def insert(
    session: ScopedSession,
    entity: type[Base],
    columns: Columns,
    *,
    ignore_known: bool = False,
    newer_wins: NewerWins | None = None,
) -> int:
    """Write rows to ``entity``'s table in the session's client; the answer is how many rows it took or changed.

    ``columns`` leaves ``client_id`` out. With ``ignore_known`` a row that meets a unique constraint is passed over,
    with ``newer_wins`` it may replace the known one; with neither it is an error. Values are as the driver takes them:
    instants in epoch milliseconds, dates in ISO form, JSON as text.
    """
    table: sa.Table = entity.__table__  # type: ignore[assignment]
    names = list(columns)
    if "client_id" in names:
        raise ScopeViolation("the client is the session's")
    lists = [_plain(values) for values in columns.values()]
    if session.is_postgresql:
        lists = _with_dates(table, names, lists)
    if not lists or not len(lists[0]):
        return 0
    if newer_wins:
        lists = newer_wins.fold(names, lists)
    client_id = session.client_id
    session.flush()
    connection = session.connection()
    rows = zip(*lists, strict=True)
    conflict = newer_wins.clause(table.name, names) if newer_wins else "ON CONFLICT DO NOTHING" if ignore_known else ""
    if session.is_postgresql:
        return _copy(connection, table, names, rows, client_id, conflict, newer_wins)
    return _execute_many(connection, table, names, rows, client_id, conflict)


def update(session: ScopedSession, entity: type[Base], columns: Columns, *, only_missing: bool = False) -> int:
    """Change rows of the session's client by ``id``; the answer is how many rows were met.

    ``columns`` holds ``id`` and the columns to change. A null leaves the old value; with ``only_missing`` so does
    every value where there is one already.
    """
    table: sa.Table = entity.__table__  # type: ignore[assignment]
    names = [name for name in columns if name != "id"]
    order = ["id", *names]
    lists = [_plain(columns[name]) for name in order]
    if session.is_postgresql:
        lists = _with_dates(table, order, lists)
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
        mine = f"t.client_id = {client_id} AND t.id = n.id"
        cursor.execute(f'UPDATE "{table.name}" t SET {changes} FROM fairlead_bulk n WHERE {mine}')  # noqa: S608
        met = int(cursor.rowcount)
        cursor.execute("DROP TABLE fairlead_bulk")
    return met


def _plain(values: Sequence[Any] | np.ndarray[Any, Any]) -> Sequence[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _with_dates(table: sa.Table, names: Sequence[str], lists: list[Any]) -> list[Any]:
    """ISO dates as the binary COPY of PostgreSQL takes them; SQLite keeps the text."""
    return [
        [dt.date.fromisoformat(value) if isinstance(value, str) else value for value in values]
        if isinstance(table.c[name].type, sa.Date)
        else values
        for name, values in zip(names, lists, strict=True)
    ]


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
        if newer_wins:
            # Everybody changes rows in one order, so that two who write the same ones do not lock each other out.
            conflict = f"ORDER BY {_quoted(newer_wins.key)} {conflict}"
        cursor.execute(f'INSERT INTO "{table.name}" ({quoted}) SELECT {quoted} FROM fairlead_bulk {conflict}')  # noqa: S608
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
