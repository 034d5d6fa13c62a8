"""Engines for the contract test: in memory, on an SQLite file, on PostgreSQL when a server is there."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import sqlalchemy as sa

from fairlead.engine.dbos_engine import DbosEngine
from fairlead.engine.dbos_setup import system_url
from fairlead.engine.heartbeat import heartbeat_table
from fairlead.engine.memory import MemoryEngine
from fairlead.engine.port import Engine, Queue, Rate

POSTGRES = os.environ.get("FAIRLEAD_TEST_POSTGRES")
QUEUES = (Queue("default"), Queue("ticks"), Queue("accounts", at_once=1), Queue("limited", rate=Rate(2, 2.5)))


class Make(Protocol):
    """Builds engines on one place, each as after a restart of the process."""

    def __call__(self, executor_id: str = "one", **options: Any) -> Engine: ...


@pytest.fixture
def wait() -> Callable[..., Any]:
    """``wait(what)`` polls until ``what()`` is true and returns it; it fails after 15 seconds."""

    def poll(what: Callable[[], Any], seconds: float = 15.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := what()):
            assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
            time.sleep(0.02)
        return value

    return poll


def make_app_database(url: str) -> sa.Engine:
    """The core's database with nothing but the heartbeat table."""
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    heartbeat_table(metadata)
    metadata.create_all(engine)
    return engine


@pytest.fixture
def tick(make: Make, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Let enough time pass that two runs have an order: DBOS on SQLite stamps seconds before Python 3.12."""
    coarse = "sqlite" in request.node.callspec.id and sys.version_info < (3, 12)
    return lambda: time.sleep(1.01 if coarse else 0.003)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A fresh SQLite file."""
    return f"sqlite:///{tmp_path / 'app.sqlite'}"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A fresh PostgreSQL database; skips where none is named."""
    if not POSTGRES:
        pytest.skip("set FAIRLEAD_TEST_POSTGRES to a PostgreSQL server to run this")
    server = sa.make_url(POSTGRES).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 10})
    name = f"fairlead_engine_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    yield server.set(database=name).render_as_string(False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.dispose()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """A maker of engines; those on a database share it, the one in memory is always the same object."""
    made: list[Engine] = []
    databases: list[sa.Engine] = []

    if request.param == "memory":

        def build(executor_id: str = "one", **options: Any) -> Engine:
            made.append(MemoryEngine(QUEUES))
            return made[-1]
    else:
        url = request.getfixturevalue(f"{request.param}_url")
        databases.append(make_app_database(url))

        def build(executor_id: str = "one", **options: Any) -> Engine:
            engine = DbosEngine(
                databases[0], system_url(url), executor_id=executor_id, queues=QUEUES, poll=0.05, **options
            )
            made.append(engine)
            return engine

    yield build
    if databases:
        # An engine that has been idle for a moment stops at once; else DBOS waits in whole seconds.
        time.sleep(0.3)
    for engine in made:
        engine.stop(5)
    for database in databases:
        database.dispose()
