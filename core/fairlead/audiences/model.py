"""Tags, segments, scores and life-cycle stages."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base, Tenant
from fairlead.storage.types import Id, Json, JsonDict, Name, Ref, Text


class Tag(Tenant, Base):
    """A label on two levels, put on by hand or by a rule."""

    __tablename__ = "tag"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "name"),
        sa.UniqueConstraint("client_id", "id"),
        sa.ForeignKeyConstraint(["client_id", "parent_id"], ["tag.client_id", "tag.id"]),
        sa.CheckConstraint("level IN (1, 2)", name="level"),
        sa.CheckConstraint("origin IN ('manual', 'rule')", name="origin"),
    )
    id: Mapped[Id]
    name: Mapped[Name]
    level: Mapped[int] = mapped_column(sa.SmallInteger, default=1)
    parent_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    origin: Mapped[str] = mapped_column(sa.String(8), default="manual")
    rule: Mapped[dict[str, object] | None] = mapped_column(Json)
    note: Mapped[Text] = mapped_column(default="")
    owner: Mapped[Name] = mapped_column(default="")
    created_at: Mapped[dt.datetime]


class ProfileTag(Tenant, Base):
    """A tag on a profile."""

    __tablename__ = "profile_tag"
    __table_args__ = (
        sa.Index("ix_profile_tag_tag", "client_id", "tag_id", "profile_id"),
        sa.ForeignKeyConstraint(["client_id", "tag_id"], ["tag.client_id", "tag.id"]),
    )
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    profile_id: Mapped[Ref] = mapped_column(primary_key=True)
    tag_id: Mapped[Ref] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime]
    source: Mapped[str] = mapped_column(sa.String(40))


class Segment(Tenant, Base):
    """A named rule and the people it held for when it was last refreshed."""

    __tablename__ = "segment"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "name"),
        sa.UniqueConstraint("client_id", "id"),
        sa.CheckConstraint("state IN ('active', 'archived')", name="state"),
    )
    id: Mapped[Id]
    name: Mapped[Name]
    title: Mapped[Name]
    rule: Mapped[JsonDict]
    state: Mapped[str] = mapped_column(sa.String(12), default="active")
    head_count: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    refreshed_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    changed_at: Mapped[dt.datetime]


class SegmentMember(Tenant, Base):
    """Somebody in a segment now."""

    __tablename__ = "segment_member"
    __table_args__ = (
        sa.Index("ix_segment_member_profile", "client_id", "profile_id", "segment_id"),
        sa.ForeignKeyConstraint(["client_id", "segment_id"], ["segment.client_id", "segment.id"]),
    )
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    segment_id: Mapped[Ref] = mapped_column(primary_key=True)
    profile_id: Mapped[Ref] = mapped_column(primary_key=True)
    since: Mapped[dt.datetime]


class SegmentChange(Tenant, Base):
    """Somebody entered or left a segment."""

    __tablename__ = "segment_change"
    __table_args__ = (
        sa.Index("ix_segment_change_segment", "client_id", "segment_id", "at", "profile_id"),
        sa.Index("ix_segment_change_profile", "client_id", "profile_id", "at"),
    )
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    segment_id: Mapped[Ref] = mapped_column(primary_key=True)
    profile_id: Mapped[Ref] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(primary_key=True)
    entered: Mapped[bool]


class Score(Tenant, Base):
    """A profile's number under one scheme, with its parts for the explanation."""

    __tablename__ = "score"
    __table_args__ = (sa.Index("ix_score_value", "client_id", "scheme", "value", "profile_id"),)
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    profile_id: Mapped[Ref] = mapped_column(primary_key=True)
    scheme: Mapped[Name] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(sa.Double)
    parts: Mapped[JsonDict]
    at: Mapped[dt.datetime]


class Stage(Tenant, Base):
    """The life-cycle stage a profile is in."""

    __tablename__ = "stage"
    __table_args__ = (sa.Index("ix_stage_name", "client_id", "name", "profile_id"),)
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    profile_id: Mapped[Ref] = mapped_column(primary_key=True)
    name: Mapped[Name]
    since: Mapped[dt.datetime]


class StageChange(Tenant, Base):
    """A profile moved from one stage to another."""

    __tablename__ = "stage_change"
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    profile_id: Mapped[Ref] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(primary_key=True)
    before: Mapped[Name] = mapped_column(default="")
    after: Mapped[Name]
