"""The table of points. It has a base of its own, so that the core's migrations never see it."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fairlead.storage.base import NAMING, Tenant
from fairlead.storage.types import Instant

PREFIX = "acme_loyalty_"


class Base(DeclarativeBase):
    """Tables of this plugin; their names start with :data:`PREFIX`."""

    metadata = sa.MetaData(naming_convention=NAMING)


class Balance(Tenant, Base):
    """Points a person holds. ``Tenant`` makes the core's session keep clients apart here too."""

    __tablename__ = f"{PREFIX}balance"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    profile_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    points: Mapped[int] = mapped_column(sa.BigInteger)
    changed_at: Mapped[dt.datetime] = mapped_column(Instant)
