"""The declarative base, constraint names, and what makes a table belong to a client."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fairlead.storage.types import Instant

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables of the core. Ids come from one sequence (:mod:`fairlead.storage.ids`), instants are UTC."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 -- the name and shape are SQLAlchemy's
        dt.datetime: Instant,
        dict[str, Any]: sa.JSON,
    }


class Tenant:
    """Mixin of every table whose rows belong to one client; the session and row-level security filter by it."""

    client_id: Mapped[int] = mapped_column(sa.BigInteger, sort_order=-1)


class AgencyOnly:
    """Mixin of tables that only agency-wide work may touch: who the members are, what they may do, their tokens."""


class Shared:
    """Mixin of the few tables of no client that the work of any client may touch. Their rows tell nothing of others."""


def one_of(column: str, values: tuple[str, ...]) -> str:
    """The text of a CHECK that ``column`` holds one of ``values``."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def tenant_tables() -> tuple[str, ...]:
    """Names of all tables with a ``client_id``, sorted; row-level security is put on exactly these."""
    return tuple(sorted(table.name for table in Base.metadata.tables.values() if "client_id" in table.columns))
