"""Who is alive: one row per executor, renewed every few seconds, in a table of the core's own database.

A watcher calls an executor dead when its row has not changed for some seconds of the watcher's *own* monotonic clock.
Clocks are never compared between machines, so a clock that jumps or differs takes nobody's work away.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable

import sqlalchemy as sa

TABLE = "engine_executor"


def heartbeat_table(metadata: sa.MetaData) -> sa.Table:
    """The table ``engine_executor``; instants are epoch milliseconds of the executor's own clock."""
    return sa.Table(
        TABLE,
        metadata,
        sa.Column("executor_id", sa.Text, primary_key=True),
        sa.Column("heartbeat_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("hostname", sa.Text, nullable=False),
    )


class SameExecutor(RuntimeError):
    """Another living process renews the row of this executor id."""


class Heartbeats:
    """The rows, and what this process has seen of them. Not thread-safe: one thread beats and watches."""

    def __init__(
        self,
        engine: sa.Engine,
        executor_id: str,
        *,
        dead_after: float,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._id = executor_id
        self._dead_after = dead_after
        self._wall = wall
        self._monotonic = monotonic
        self._table = heartbeat_table(sa.MetaData())
        self._started_at = self._last = 0
        self._seen: dict[str, tuple[int | None, float]] = {}

    def begin(self) -> None:
        """Write the row of this process, over that of its predecessor with the same id."""
        self._started_at = self._last = self._millis()
        values = {"heartbeat_at": self._last, "started_at": self._started_at, "hostname": socket.gethostname()}
        own = self._table.c.executor_id == self._id
        with self._engine.begin() as connection:
            if connection.execute(sa.update(self._table).where(own).values(**values)).rowcount == 0:
                connection.execute(sa.insert(self._table).values(executor_id=self._id, **values))

    def beat(self) -> None:
        """Renew the row. Raises :class:`SameExecutor` when somebody else began with this id after us."""
        table = self._table
        # Strictly increasing even when the clock is set back, because watchers look for change.
        self._last = max(self._last + 1, self._millis())
        with self._engine.begin() as connection:
            mine = sa.and_(table.c.executor_id == self._id, table.c.started_at == self._started_at)
            if connection.execute(sa.update(table).where(mine).values(heartbeat_at=self._last)).rowcount:
                return
            other = connection.execute(sa.select(table.c.hostname).where(table.c.executor_id == self._id)).scalar()
            if other is None:
                values = {"heartbeat_at": self._last, "started_at": self._started_at, "hostname": socket.gethostname()}
                connection.execute(sa.insert(table).values(executor_id=self._id, **values))
                return
        raise SameExecutor(f"executor id {self._id!r} is also used on {other}: give each replica an id of its own")

    def dead(self, executors: Iterable[str]) -> list[str]:
        """Which of ``executors``, and of those with a row, showed no sign of life for ``dead_after`` seconds.

        The first look at an executor only starts its time, so nobody is called dead at once.
        """
        now = self._monotonic()
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(self._table.c.executor_id, self._table.c.heartbeat_at))
            beats = [(str(executor), int(beat)) for executor, beat in rows]
        current: dict[str, int | None] = dict.fromkeys(executors)
        current.update(beats)
        current.pop(self._id, None)
        self._seen = {
            executor: self._seen[executor] if self._seen.get(executor, (-1, 0.0))[0] == beat else (beat, now)
            for executor, beat in current.items()
        }
        return sorted(executor for executor, (_, since) in self._seen.items() if now - since >= self._dead_after)

    def claim(self, executor: str) -> bool:
        """Take the right to requeue a dead executor's work: only one watcher gets it, and loses it by dying itself."""
        seen, _ = self._seen[executor]
        beat = max(self._millis(), (seen or 0) + 1)
        table = self._table
        with self._engine.begin() as connection:
            if seen is not None:
                same = sa.and_(table.c.executor_id == executor, table.c.heartbeat_at == seen)
                won = connection.execute(sa.update(table).where(same).values(heartbeat_at=beat)).rowcount == 1
            else:
                won = self._insert_if_absent(connection, executor, beat)
        self._seen[executor] = (beat, self._monotonic())
        return won

    def bury(self, executor: str) -> None:
        """Drop the row of a claimed executor, unless it came back to life meanwhile."""
        beat, _ = self._seen.pop(executor)
        table = self._table
        with self._engine.begin() as connection:
            same = sa.and_(table.c.executor_id == executor, table.c.heartbeat_at == beat)
            connection.execute(sa.delete(table).where(same))

    def end(self) -> None:
        """Drop the row of this process: it leaves no work behind."""
        table = self._table
        with self._engine.begin() as connection:
            mine = sa.and_(table.c.executor_id == self._id, table.c.started_at == self._started_at)
            connection.execute(sa.delete(table).where(mine))

    def _insert_if_absent(self, connection: sa.Connection, executor: str, beat: int) -> bool:
        values = {"executor_id": executor, "heartbeat_at": beat, "started_at": beat, "hostname": socket.gethostname()}
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(self._table).values(**values))
        except sa.exc.IntegrityError:
            return False
        return True

    def _millis(self) -> int:
        return int(self._wall() * 1000)
