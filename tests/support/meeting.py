"""Two units of work that meet: the second begins when the first has written and has not committed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from fairlead.storage.database import Database
from fairlead.work import Work

PATIENCE = 20.0


def meet(
    database: Database,
    open_work: Callable[[], AbstractContextManager[Work]],
    first: Callable[[Work], Any],
    second: Callable[[Work], Any],
) -> tuple[Any, Any]:
    """What the two gave, an exception of the second included.

    The first commits as soon as the second waits for it, or has ended without waiting.
    """

    def later() -> Any:
        with open_work() as work:
            return second(work)

    with ThreadPoolExecutor(1) as pool:
        with open_work() as work:
            one = first(work)
            work.session.flush()
            other = pool.submit(later)
            _until_it_waits(database, other)
        return one, other.exception() or other.result()


def _until_it_waits(database: Database, other: Future[Any]) -> None:
    if database.is_sqlite:
        return  # There is one writer, so the second waits for its turn whenever it begins.
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + PATIENCE
    with database.engine.connect() as connection:
        while not other.done() and time.monotonic() < deadline:
            if connection.scalar(waiting):
                return
            connection.rollback()
            time.sleep(0.01)
