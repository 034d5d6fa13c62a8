"""Kept answers of attribution runs."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base, Tenant
from fairlead.storage.types import Id, JsonDict, Name, Ref


class AttributionRun(Tenant, Base):
    """One model over one span: its question, its path counts and its exclusions."""

    __tablename__ = "attribution_run"
    __table_args__ = (
        sa.Index("ix_attribution_run_client_id", "client_id", "id"),
        sa.UniqueConstraint("client_id", "id"),
    )
    id: Mapped[Id]
    model: Mapped[Name]
    settings: Mapped[JsonDict]
    question: Mapped[JsonDict]
    summary: Mapped[JsonDict]
    conversions: Mapped[float] = mapped_column(sa.Double)
    value: Mapped[float] = mapped_column(sa.Double)
    computed_at: Mapped[dt.datetime]


class AttributionCredit(Tenant, Base):
    """What one channel earned in one run; ``value`` in minor units."""

    __tablename__ = "attribution_credit"
    __table_args__ = (
        sa.ForeignKeyConstraint(["client_id", "run_id"], ["attribution_run.client_id", "attribution_run.id"]),
    )
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    run_id: Mapped[Ref] = mapped_column(primary_key=True)
    channel: Mapped[Name] = mapped_column(primary_key=True)
    touches: Mapped[int] = mapped_column(sa.BigInteger)
    conversions: Mapped[float] = mapped_column(sa.Double)
    value: Mapped[float] = mapped_column(sa.Double)
    detail: Mapped[JsonDict]
