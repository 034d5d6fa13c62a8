"""Migrations go up, down and up again, see no drift, leave plugins alone, and let one runner through at a time."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from fairlead.plugins.extensions import MigrationSource
from fairlead.storage import migrate
from fairlead.storage.database import Database
from fairlead.storage.scope import ClientScope
from fairlead.storage.tables import metadata

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "fairlead_acme_loyalty" / "src"


@pytest.fixture
def own(own_database_url: str) -> Database:
    """A database that the test may take apart."""
    return Database(own_database_url)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> MigrationSource:
    """The outside sample plugin's migrations, from its folder and not installed."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from fairlead_acme_loyalty import PREFIX, Base

    return MigrationSource("acme_loyalty", "fairlead_acme_loyalty:migrations", PREFIX, Base.metadata)


def tables(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        return set(sa.inspect(connection).get_table_names())


def test_the_models_are_what_is_migrated(own: Database) -> None:
    assert migrate.drift(own) == []
    assert not migrate.pending(own)
    with own.owner() as connection:
        connection.execute(sa.text("DROP INDEX ix_enrolment_due"))
        connection.execute(sa.text("ALTER TABLE tag ADD COLUMN stray INTEGER"))
    found = str(migrate.drift(own))
    assert "ix_enrolment_due" in found
    assert "stray" in found


def test_down_and_up_again(own: Database) -> None:
    before = tables(own)
    migrate.downgrade(own)
    assert tables(own) == {"alembic_version_core"}
    assert migrate.pending(own)
    migrate.upgrade(own)
    migrate.upgrade(own)
    assert tables(own) == before == {*metadata.tables, "alembic_version_core"}
    assert migrate.drift(own) == []
    with own.write(ClientScope(7)) as session:
        assert session.bare(sa.text("SELECT count(*) FROM profile")).scalar_one() == 0


def test_a_failed_migration_leaves_nothing(own: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairlead_migrations import security

    migrate.downgrade(own)

    def fail(*_tables: str) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr(security, "separate_clients", lambda *_tables, **_options: fail())
    with pytest.raises(RuntimeError, match="power"):
        migrate.upgrade(own)
    assert tables(own) == {"alembic_version_core"}
    monkeypatch.undo()
    migrate.upgrade(own)
    assert migrate.drift(own) == []


def test_a_plugin_comes_goes_and_breaks_nothing(own: Database, plugin: MigrationSource) -> None:
    core = tables(own)
    migrate.upgrade(own, [plugin])
    with_plugin = tables(own)
    assert with_plugin - core >= {"alembic_version_acme_loyalty"}
    assert all(name.startswith(("acme_loyalty", "alembic_version_acme_loyalty")) for name in with_plugin - core)
    assert migrate.drift(own) == []
    # The package is gone, its tables are not: the core goes down and up as if they did not exist.
    for module in [name for name in sys.modules if name.startswith("fairlead_acme_loyalty")]:
        del sys.modules[module]
    migrate.upgrade(own)
    assert not migrate.pending(own)
    assert tables(own) == with_plugin
    migrate.remove(own, plugin)
    assert tables(own) == core
    migrate.upgrade(own, [plugin])
    assert tables(own) == with_plugin


def test_a_second_runner_waits_for_the_first(own: Database) -> None:
    migrate.downgrade(own)
    other = Database(own.url.render_as_string(hide_password=False), statement_timeout=0.2)
    failures: list[BaseException] = []

    def run(database: Database) -> None:
        try:
            migrate.upgrade(database)
        except BaseException as error:
            failures.append(error)

    second = threading.Thread(target=run, args=(other,))
    with own.owner() as connection:
        if not own.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('fairlead/migrate'))"))
        second.start()
        second.join(0.6)
        assert second.is_alive()
        assert tables_of(connection) <= {"alembic_version_core"}
    second.join(60)
    assert failures == []
    assert not migrate.pending(own)


def tables_of(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())
