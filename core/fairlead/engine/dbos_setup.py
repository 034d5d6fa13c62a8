"""What DBOS needs around it: a database engine with the right locking, a JSON serialiser, quiet and safe logs."""

from __future__ import annotations

import logging
import sqlite3
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import ClientScheduleInput, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy import event

from fairlead.engine.port import Registry
from fairlead.storage.database import normalise_url

APPLICATION = "fairlead"
SCHEMA = "dbos"

# DBOS hands queued work only to executors of the same application version. Ours is the shape of the steps that
# `dbos_engine` records, not the release: it changes only when old runs cannot be replayed by new code.
STEPS_VERSION = "fairlead-1"

# A run whose process died this often without ending it is given up, because it may be what kills them.
MAX_LOSSES = 5

# The pickle that DBOS uses by default would execute whatever stands in the database.
SERIALIZER = DBOSPortableJSONSerializer()


def system_url(app_url: str) -> str:
    """Where the engine keeps its tables: a file beside an SQLite database, a schema within a PostgreSQL one."""
    url = normalise_url(app_url)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        url = url.set(database=str(path.with_name(f"{path.stem}-engine{path.suffix or '.sqlite'}")))
    return url.render_as_string(hide_password=False)


def system_engine(url: str) -> sa.Engine:
    """The SQLAlchemy engine that DBOS works on. Its errors never quote parameters."""
    parsed = normalise_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_size=10, max_overflow=10, pool_pre_ping=True, hide_parameters=True)
    engine = sa.create_engine(parsed, pool_size=10, max_overflow=20, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # As DBOS does for engines of its own; WAL and NORMAL make it 12 times faster, at the price of the last runs
        # when the machine (not the process) dies, which a cron tick or the next enqueue brings back.
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def declare(client: DBOSClient, registry: Registry, poll: float, dialect: str) -> None:
    """Write the queues and schedules of this release into the engine's database, and drop schedules of older ones."""
    # On SQLite under Python before 3.12 DBOS stamps starts with whole seconds and would open a rate up to one early.
    blur = 1.0 if dialect == "sqlite" and sys.version_info < (3, 12) else 0.0
    for queue in registry.queues.values():
        rate = queue.rate
        client.register_queue(
            queue.name,
            worker_concurrency=queue.workers,
            partition_concurrency=queue.at_once,
            partition_limiter={"limit": rate.limit, "period": rate.period + blur} if rate is not None else None,
            polling_interval_sec=poll,
        )
    for stored in client.list_schedules():
        if stored["schedule_name"] not in registry.schedules:
            client.delete_schedule(stored["schedule_name"])
    client.apply_schedules(
        [
            ClientScheduleInput(
                schedule_name=schedule.name,
                workflow_name=schedule.name,
                schedule=schedule.cron,
                cron_timezone=schedule.zone,
                queue_name=schedule.queue,
            )
            for schedule in registry.schedules.values()
        ]
    )


def dbos_config(url: str, engine: sa.Engine, executor_id: str, poll: float) -> DBOSConfig:
    """The configuration of a working process.

    We wait for no event or message of DBOS, so it needs no connection that listens.
    """
    return DBOSConfig(
        name=APPLICATION,
        system_database_url=dbos_url(url),
        system_database_engine=engine,
        dbos_system_schema=SCHEMA,
        executor_id=executor_id,
        application_version=STEPS_VERSION,
        serializer=SERIALIZER,
        use_listen_notify=False,
        notification_listener_polling_interval_sec=poll,
        enable_otlp=False,
        log_level="WARNING",
    )


def dbos_url(url: str) -> str:
    """The URL in the spelling that DBOS takes."""
    parsed = normalise_url(url)
    return parsed.set(drivername=parsed.get_backend_name()).render_as_string(hide_password=False)


class RunFailed(Exception):
    """Ends a DBOS workflow as failed; the text is what :func:`fairlead.engine.attempt.describe` let through."""


class SafeLogs(logging.Filter):
    """Passes DBOS's records on without tracebacks and without what our own code logs already.

    Exceptions quote data: their type is enough here.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop or clean the record."""
        error: Any = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is None:
            return True
        if isinstance(error, RunFailed) or type(error).__name__.startswith("DBOSAwaitedWorkflow"):
            return False
        record.msg, record.args = f"{record.getMessage()} {type(error).__name__}", ()
        record.exc_info = record.exc_text = None
        return True


_SAFE_LOGS = SafeLogs()


def quiet_logs() -> None:
    """Send DBOS's warnings to the process's own log handlers instead of its own console handler."""
    logger = logging.getLogger("dbos")
    # With a handler of ours in place DBOS adds none of its own.
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.handlers[:] = [logging.NullHandler()]
    logger.propagate = True
    logger.setLevel(logging.WARNING)
    if _SAFE_LOGS not in logger.filters:
        logger.addFilter(_SAFE_LOGS)
