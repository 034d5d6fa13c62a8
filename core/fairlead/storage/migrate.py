"""Migrations, run by code: the core's own and each plugin's, every one under a version table of its own.

Because nothing is shared, a plugin's package may disappear and the core still upgrades; its tables stay until somebody
runs :func:`remove`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from fairlead.storage import migration_env, tables
from fairlead.storage.database import Database

if TYPE_CHECKING:
    from fairlead.plugins.extensions import MigrationSource

CORE = "core"
CORE_LOCATION = "fairlead_migrations:"


def upgrade(database: Database, sources: Iterable[MigrationSource] = (), *, revision: str = "head") -> None:
    """Bring the core's tables and then each plugin's to ``revision``. Safe to run again; one runner at a time."""
    with database.owner() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('fairlead/migrate'))"))
        command.upgrade(_core(connection), revision)
        for source in sources:
            command.upgrade(_plugin(connection, source), "head")


def downgrade(database: Database, revision: str = "base") -> None:
    """Take the core's tables back to ``revision``."""
    with database.owner() as connection:
        command.downgrade(_core(connection), revision)


def remove(database: Database, source: MigrationSource) -> None:
    """Take away a plugin's tables and its version table."""
    with database.owner() as connection:
        command.downgrade(_plugin(connection, source), "base")
        connection.execute(sa.text(f'DROP TABLE IF EXISTS "alembic_version_{source.name}"'))


def pending(database: Database) -> bool:
    """Whether the core's tables are not at the newest revision."""
    with database.engine.connect() as connection:
        current = MigrationContext.configure(
            connection, opts={"version_table": _version_table(CORE)}
        ).get_current_heads()
        return set(current) != _newest()


def drift(database: Database) -> list[Any]:
    """What Alembic would still change so that the database matches the models; empty when all is well."""
    with database.engine.connect() as connection:
        options = {
            "compare_type": migration_env.type_differs,
            "include_name": lambda name, kind, _parents: kind != "table" or _owned_by_core(name or ""),
        }
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata)
        return found


def revise(database: Database, message: str) -> None:
    """Write a new core revision from the difference between models and database; for developers."""
    with database.owner() as connection:
        command.revision(_core(connection), message=message, autogenerate=True)


def _version_table(name: str) -> str:
    return f"alembic_version_{name}"


def _owned_by_core(name: str) -> bool:
    return name in tables.metadata.tables


@functools.cache
def _newest() -> frozenset[str]:
    """The newest revisions of this installation, read once: load balancers ask every few seconds, and anybody may."""
    config = Config()
    config.set_main_option("script_location", CORE_LOCATION)
    return frozenset(ScriptDirectory.from_config(config).get_heads())


def _config(connection: sa.Connection, location: str, name: str, metadata: Any, owns: Callable[[str], bool]) -> Config:
    config = Config()
    config.set_main_option("script_location", location)
    config.set_main_option("path_separator", "newline")
    config.attributes.update(connection=connection, version_table=_version_table(name), metadata=metadata, owns=owns)
    return config


def _core(connection: sa.Connection) -> Config:
    return _config(connection, CORE_LOCATION, CORE, tables.metadata, _owned_by_core)


def _plugin(connection: sa.Connection, source: MigrationSource) -> Config:
    prefix = source.prefix
    return _config(connection, source.location, source.name, source.metadata, lambda name: name.startswith(prefix))
