"""Fixtures of the core's tests: a fresh database per test on both engines, a runtime on it, an agency with two clients.

A database is migrated once per session. On SQLite each test gets a copy of the file; on PostgreSQL, where a copy costs
a second, all tests share one database that is emptied between them, so a test that changes tables or triggers puts them
back or asks for ``own_database_url``. PostgreSQL is used when ``FAIRLEAD_TEST_POSTGRES`` names a server whose user may
create databases and switch off triggers (a superuser).
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.clients import service
from fairlead.plugins.manager import Plugins
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.crypto import Keyring, Vault
from fairlead.storage.database import Database, normalise_url
from fairlead.storage.tables import metadata
from fairlead.testing.fakes import FakeClock

SERVER = "FAIRLEAD_TEST_POSTGRES"


@dataclass(frozen=True)
class Agency:
    """One agency with two clients; slugs ``acme`` and ``bolt``."""

    id: int
    acme: int
    bolt: int


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[sa.Engine]:
    """The server's maintenance connection; skips without one."""
    url = os.environ.get(SERVER)
    if not url:
        pytest.skip(f"set {SERVER} to a PostgreSQL server to run this")
    engine = sa.create_engine(normalise_url(url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: sa.Engine) -> Iterator[str]:
    """Name of a migrated database to copy."""
    name = f"fairlead_template_{secrets.token_hex(4)}"
    with _fresh(postgres_server, name, None) as url:
        database = Database(url)
        migrate.upgrade(database)
        database.dispose()
        yield name


@pytest.fixture(scope="session")
def postgres_shared(postgres_server: sa.Engine, postgres_template: str) -> Iterator[str]:
    """URL of the database that PostgreSQL tests share."""
    with _fresh(postgres_server, f"fairlead_test_{secrets.token_hex(4)}", postgres_template) as url:
        yield url


ENGINES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a migrated database without rows, once for each engine."""
    if request.param == "sqlite":
        yield _copy(request, tmp_path)
        return
    url = request.getfixturevalue("postgres_shared")
    yield url
    _empty(url)


@pytest.fixture(params=ENGINES)
def own_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """As ``database_url``, for a test that changes the tables themselves."""
    if request.param == "sqlite":
        yield _copy(request, tmp_path)
        return
    server = request.getfixturevalue("postgres_server")
    template = request.getfixturevalue("postgres_template")
    with _fresh(server, f"fairlead_test_{secrets.token_hex(4)}", template) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh, migrated database."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    """The keys of all tests of a session."""
    return Keyring.generate("k1")


@pytest.fixture
def vault(keyring: Keyring) -> Vault:
    """A vault on the session's keys."""
    return Vault(keyring)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of :func:`runtime`; it stands still until moved."""
    return FakeClock()


@pytest.fixture
def build_runtime(database_url: str, vault: Vault, clock: FakeClock) -> Iterator[Callable[..., Fairlead]]:
    """``build_runtime(plugin, …, cache_seconds=0)`` gives a runtime with these plugins on the test's database."""
    made: list[Fairlead] = []

    def build(*plugins: object, now: Callable[[], Any] | None = None, **settings: Any) -> Fairlead:
        chosen = Settings(database_url=database_url, **settings)
        opened = Fairlead(
            chosen, Database(database_url), vault, Plugins.for_tests(*plugins), clock=now if now is not None else clock
        )
        made.append(opened)
        return opened

    yield build
    for runtime in made:
        runtime.close()


@pytest.fixture
def runtime(build_runtime: Callable[..., Fairlead]) -> Fairlead:
    """A runtime without plugins."""
    return build_runtime()


def add_agency(runtime: Fairlead) -> Agency:
    """An agency with the clients ``acme`` and ``bolt``."""
    with runtime.agency_work("test") as work:
        agency = service.create_agency(work, "main", "Agency")
        acme = service.create_client(work, agency.id, "acme", "Acme")
        bolt = service.create_client(work, agency.id, "bolt", "Bolt")
    return Agency(agency.id, acme.id, bolt.id)


@pytest.fixture
def agency(runtime: Fairlead) -> Agency:
    """An agency with the clients ``acme`` and ``bolt``, in the database of :func:`runtime`."""
    return add_agency(runtime)


@contextmanager
def _fresh(server: sa.Engine, name: str, template: str | None) -> Iterator[str]:
    """A database on the server for the length of a block; gives its URL."""
    copy = f' TEMPLATE "{template}"' if template else ""
    with server.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"{copy}'))
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


def _copy(request: pytest.FixtureRequest, folder: Path) -> str:
    path = folder / "fairlead.db"
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite:///{path}"


def _empty(url: str) -> None:
    """Delete all rows, past the triggers that would refuse it and the order that foreign keys would ask for."""
    engine = sa.create_engine(normalise_url(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text("SET LOCAL lock_timeout = '20s'"))
        connection.execute(sa.text("; ".join(f'DELETE FROM "{name}"' for name in metadata.tables)))
    engine.dispose()
