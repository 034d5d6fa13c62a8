"""Named locks over threads and processes, for work that must not hold a transaction: calls to platforms.

PostgreSQL lends a session-level advisory lock on a connection of its own, SQLite a tiny database file that is opened
exclusively. Both are let go when the process dies, so there is no lease to wait for.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from fairlead.errors import Conflict
from fairlead.storage.database import Database, is_busy

LOCK_NOT_AVAILABLE = "55P03"


class Held(Conflict):
    """Somebody else holds the lock."""


class NamedLocks:
    """Locks of one installation by name."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads: dict[str, threading.Lock] = {}
        self._users: Counter[str] = Counter()
        self._guard = threading.Lock()
        # Waiters hold a connection each, so they have a small pool of their own and cannot starve the sessions.
        self._engine: sa.Engine | None = None

    @contextmanager
    def hold(self, name: str, *, wait: float = 0.0) -> Iterator[None]:
        """Hold ``name`` for the block. Raises :class:`Held` when it is not free within ``wait`` seconds."""
        with self._thread_lock(name) as lock:
            if not (lock.acquire(timeout=wait) if wait > 0 else lock.acquire(blocking=False)):
                raise self._held()
            try:
                with self._file(name, wait) if self._database.is_sqlite else self._advisory(name, wait):
                    yield
            finally:
                lock.release()

    def close(self) -> None:
        """Close the connections; nobody may hold a lock any more."""
        with self._guard:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    @contextmanager
    def _thread_lock(self, name: str) -> Iterator[threading.Lock]:
        with self._guard:
            lock = self._threads.setdefault(name, threading.Lock())
            self._users[name] += 1
        try:
            yield lock
        finally:
            with self._guard:
                self._users[name] -= 1
                if not self._users[name]:
                    del self._users[name], self._threads[name]

    @contextmanager
    def _file(self, name: str, wait: float) -> Iterator[None]:
        base = Path(self._database.url.database or "")
        folder = base.with_name(f"{base.name}-locks")
        folder.mkdir(mode=0o700, exist_ok=True)
        connection = sqlite3.connect(
            folder / hashlib.blake2b(name.encode(), digest_size=12).hexdigest(),
            timeout=wait,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                raise self._held() from error
            yield
        finally:
            connection.close()

    @contextmanager
    def _advisory(self, name: str, wait: float) -> Iterator[None]:
        number = int.from_bytes(hashlib.blake2b(b"named/" + name.encode(), digest_size=8).digest(), "big", signed=True)
        with self._connections().connect() as connection:
            if wait > 0:
                connection.execute(
                    sa.text("SELECT set_config('lock_timeout', :wait, false)"),
                    {"wait": f"{max(1, int(wait * 1000))}ms"},
                )
                try:
                    connection.execute(sa.text("SELECT pg_advisory_lock(:number)"), {"number": number})
                except sa.exc.OperationalError as error:
                    if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                        raise
                    raise self._held() from error
            elif not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:number)"), {"number": number}):
                raise self._held()
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:number)"), {"number": number})

    def _connections(self) -> sa.Engine:
        with self._guard:
            if self._engine is None:
                self._engine = sa.create_engine(
                    self._database.url, isolation_level="AUTOCOMMIT", pool_size=4, max_overflow=60, pool_pre_ping=True
                )
            return self._engine

    @staticmethod
    def _held() -> Held:
        return Held("this is being done already", next_step="wait until it is finished")
