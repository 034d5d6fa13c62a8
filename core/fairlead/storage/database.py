"""The one door to the relational database: engines by URL, sessions by scope.

SQLite runs in WAL mode with one writer (``BEGIN IMMEDIATE``); PostgreSQL runs each transaction under a role that owns
no table, with the client set for row-level security. The code above is the same for both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from fairlead.storage.scope import Scope
from fairlead.storage.session import ScopedSession

APP_ROLE = "fairlead_app"
WRITE = "fairlead_write"


def normalise_url(url: str) -> sa.URL:
    """Accept ``sqlite:///file``, ``postgresql://…`` and a bare path; refuse other databases."""
    if "://" not in url:
        url = f"sqlite:///{Path(url).expanduser()}"
    parsed = sa.make_url(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return parsed.set(drivername="sqlite+pysqlite")
    raise ValueError(f"the database must be SQLite or PostgreSQL, not {backend!r}")


class Database:
    """Engine and session factory of one process. Sessions are synchronous; call them from worker threads."""

    def __init__(self, url: str, *, pool_size: int = 8, statement_timeout: float = 30.0) -> None:
        self.url = normalise_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and not self.url.database:
            raise ValueError("give SQLite a file: worker threads share the database through it")
        options: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": pool_size,
            "pool_pre_ping": not self.is_sqlite,
        }
        if self.is_sqlite:
            options["connect_args"] = {"check_same_thread": False, "timeout": 30}
        else:
            millis = int(statement_timeout * 1000)
            # The shorter of the two ends a wait, and only the end of a wait for a lock says that trying again may help.
            options["connect_args"] = {"options": f"-c statement_timeout={millis} -c lock_timeout={millis // 2}"}
        self.engine = sa.create_engine(self.url, **options)
        self._writer = self.engine.execution_options(**{WRITE: True})
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def read(self, scope: Scope) -> Iterator[ScopedSession]:
        """A session for reading; whatever it changed is rolled back."""
        with ScopedSession(bind=self.engine, scope=scope, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, scope: Scope) -> Iterator[ScopedSession]:
        """A session that commits at the end and rolls back on an exception."""
        with ScopedSession(bind=self._writer, scope=scope, expire_on_commit=False) as session:
            yield session
            session.commit()

    @contextmanager
    def owner(self) -> Iterator[sa.Connection]:
        """A connection as the login itself, outside any scope and time limit: migrations only."""
        with self._writer.begin() as connection:
            if not self.is_sqlite:
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
            yield connection

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=30000",
        "foreign_keys=ON",
        "cache_size=-65536",
        "temp_store=MEMORY",
        "trusted_schema=OFF",
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get(WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def is_busy(error: Exception) -> bool:
    """Whether a database error means *try again*: locked, deadlock, serialisation failure, lost connection."""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    # Bulk writes talk to the driver, so its own errors come up bare.
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    if isinstance(original, sqlite3.OperationalError):
        return "locked" in str(original) or "busy" in str(original)
    return getattr(original, "sqlstate", None) in ("40001", "40P01", "55P03")


__all__ = ["APP_ROLE", "Database", "Session", "is_busy", "normalise_url"]
