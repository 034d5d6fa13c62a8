"""Journeys, their immutable versions, who is enrolled where, and each step they took."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base, Tenant
from fairlead.storage.types import Id, JsonDict, Name, Ref

ACTIVE = "state = 'active'"


class Journey(Tenant, Base):
    """A named journey; ``current_version_id`` is the one new people enter.

    ``listening_since`` and ``trigger_cursor`` say from when its trigger counts and up to where it was read: an instant
    in epoch milliseconds for a segment, an id for an event.
    """

    __tablename__ = "journey"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "name"),
        sa.UniqueConstraint("client_id", "id"),
        sa.CheckConstraint("state IN ('draft', 'active', 'paused', 'archived')", name="state"),
    )
    id: Mapped[Id]
    name: Mapped[Name]
    title: Mapped[Name]
    state: Mapped[str] = mapped_column(sa.String(12), default="draft")
    current_version_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    trigger_cursor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    created_at: Mapped[dt.datetime]
    activated_at: Mapped[dt.datetime | None]
    listening_since: Mapped[dt.datetime | None]
    changed_at: Mapped[dt.datetime]


class JourneyVersion(Tenant, Base):
    """An immutable graph. Node ``n`` of an enrolment is the ``n``-th entry of ``graph["nodes"]``."""

    __tablename__ = "journey_version"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "journey_id", "number"),
        sa.UniqueConstraint("client_id", "id"),
        sa.ForeignKeyConstraint(["client_id", "journey_id"], ["journey.client_id", "journey.id"]),
    )
    id: Mapped[Id]
    journey_id: Mapped[Ref]
    number: Mapped[int] = mapped_column(sa.Integer)
    graph: Mapped[JsonDict]
    digest: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[dt.datetime]


class Enrolment(Tenant, Base):
    """One profile in one version. ``entry`` makes entering idempotent; ``node`` and ``visit`` say where it stands."""

    __tablename__ = "enrolment"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "journey_id", "profile_id", "entry"),
        sa.UniqueConstraint("client_id", "id"),
        sa.ForeignKeyConstraint(["client_id", "version_id"], ["journey_version.client_id", "journey_version.id"]),
        sa.Index(
            "ix_enrolment_due",
            "client_id",
            "version_id",
            "node",
            "due_at",
            "id",
            sqlite_where=sa.text(ACTIVE),
            postgresql_where=sa.text(ACTIVE),
        ),
        sa.Index("ix_enrolment_version", "client_id", "version_id", "id"),
        sa.Index("ix_enrolment_profile", "client_id", "profile_id", "id"),
        sa.CheckConstraint("state IN ('active', 'finished', 'exited')", name="state"),
        sa.CheckConstraint("state <> 'active' OR finished_at IS NULL", name="finished"),
    )
    id: Mapped[Id]
    journey_id: Mapped[Ref]
    version_id: Mapped[Ref]
    profile_id: Mapped[Ref]
    entry: Mapped[str] = mapped_column(sa.String(40))
    node: Mapped[int] = mapped_column(sa.Integer)
    visit: Mapped[int] = mapped_column(sa.Integer, default=0)
    state: Mapped[str] = mapped_column(sa.String(12), default="active")
    due_at: Mapped[dt.datetime]
    entered_node_at: Mapped[dt.datetime]
    enrolled_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
    goal_at: Mapped[dt.datetime | None]


class Step(Tenant, Base):
    """One decision of one node for one enrolment; written in the transaction that moved the enrolment."""

    __tablename__ = "step"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    enrolment_id: Mapped[Ref] = mapped_column(primary_key=True)
    visit: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    node: Mapped[int] = mapped_column(sa.Integer)
    outlet: Mapped[str] = mapped_column(sa.String(40))
    at: Mapped[dt.datetime]
    note: Mapped[str] = mapped_column(sa.String(120), default="")
