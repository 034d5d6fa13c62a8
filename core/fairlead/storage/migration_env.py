"""The one Alembic environment, for the core and every plugin; a directory's ``env.py`` only calls :func:`run`."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from fairlead.storage.types import Instant, SealedBytes


def run() -> None:
    """Run the migrations that the caller configured (see :mod:`fairlead.storage.migrate`)."""
    attributes = context.config.attributes
    owns = attributes["owns"]

    def include_name(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "table" or (name is not None and owns(name))

    context.configure(
        connection=attributes["connection"],
        target_metadata=attributes["metadata"],
        version_table=attributes["version_table"],
        include_name=include_name,
        render_as_batch=False,
        compare_type=type_differs,
        render_item=_render_item,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


def _render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    if kind == "type" and isinstance(item, Instant):
        return "sa.BigInteger()"
    if kind == "type" and isinstance(item, SealedBytes):
        return "sa.LargeBinary()"
    return False


def type_differs(migration: Any, _inspected: Any, _column: Any, found: Any, wanted: Any) -> bool:
    """Whether a column's type differs: by what each engine calls it, since SQLite folds most types together."""
    dialect = migration.dialect
    if dialect.name == "sqlite":
        return _affinity(found, dialect) != _affinity(wanted, dialect)
    return _name(found, dialect) != _name(wanted, dialect)


def _name(type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> str:
    return str(type_.compile(dialect=dialect)).upper().replace("CHARACTER VARYING", "VARCHAR")


def _affinity(type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> str:
    name = _name(type_, dialect)
    return "INTEGER" if "INT" in name else name
