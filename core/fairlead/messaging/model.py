"""The outbox, receipts, templates and the policy every send is held to."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fairlead.storage.base import Base, Tenant, one_of
from fairlead.storage.types import Blind, Id, Json, Name, Ref, Text

QUEUED, SENDING, SENT, REFUSED, FAILED, UNKNOWN, CANCELLED = STATES = (
    "queued",
    "sending",
    "sent",
    "refused",
    "failed",
    "unknown",
    "cancelled",
)
PAUSED = "journey_paused"
"""The reason of a message that waits until its journey goes on."""
OPTED_OUT = "unsubscribed"
"""The reason of a suppression that shuts an address for what needs consent; all others shut it for everything."""
OPEN = "state IN ('queued', 'sending')"


class Template(Tenant, Base):
    """Text with Liquid variables, immutable once it has a number."""

    __tablename__ = "template"
    __table_args__ = (sa.UniqueConstraint("client_id", "name", "number"), sa.UniqueConstraint("client_id", "id"))
    id: Mapped[Id]
    name: Mapped[Name]
    number: Mapped[int] = mapped_column(sa.Integer)
    subject: Mapped[Text] = mapped_column(default="")
    text: Mapped[Text] = mapped_column(default="")
    html: Mapped[Text] = mapped_column(default="")
    created_at: Mapped[dt.datetime]


class Message(Tenant, Base):
    """One message to one person through one account. ``key`` is its idempotency key, the same for ever."""

    __tablename__ = "message"
    __table_args__ = (
        sa.UniqueConstraint("client_id", "key"),
        sa.UniqueConstraint("client_id", "id"),
        sa.ForeignKeyConstraint(["client_id", "account_id"], ["channel_account.client_id", "channel_account.id"]),
        sa.ForeignKeyConstraint(["client_id", "template_id"], ["template.client_id", "template.id"]),
        sa.Index(
            "ix_message_due",
            "client_id",
            "account_id",
            "due_at",
            "id",
            sqlite_where=sa.text(OPEN),
            postgresql_where=sa.text(OPEN),
        ),
        sa.Index("ix_message_profile", "client_id", "profile_id", "sent_at"),
        sa.Index("ix_message_state", "client_id", "state", "id"),
        sa.Index("ix_message_external", "client_id", "account_id", "external_id"),
        sa.Index("ix_message_enrolment", "client_id", "enrolment_id"),
        sa.CheckConstraint(one_of("state", STATES), name="state"),
    )
    id: Mapped[Id]
    key: Mapped[str] = mapped_column(sa.String(80))
    profile_id: Mapped[Ref]
    account_id: Mapped[Ref]
    channel: Mapped[Name]
    purpose: Mapped[str] = mapped_column(sa.String(24))
    template_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    enrolment_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    node: Mapped[str] = mapped_column(sa.String(40), default="")
    state: Mapped[str] = mapped_column(sa.String(12), default=QUEUED)
    reason: Mapped[str] = mapped_column(sa.String(120), default="")
    due_at: Mapped[dt.datetime]
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0)
    lease_until: Mapped[dt.datetime | None]
    owner: Mapped[str | None] = mapped_column(sa.String(40))
    external_id: Mapped[str | None] = mapped_column(sa.String(120))
    created_at: Mapped[dt.datetime]
    sent_at: Mapped[dt.datetime | None]


IS_OPEN = Message.state.in_([sa.literal_column("'queued'"), sa.literal_column("'sending'")])
"""Spelled as in the partial index, so that SQLite knows it may use it."""


class MessageReceipt(Tenant, Base):
    """What the platform told later: delivered, read, clicked, bounced, complained, unsubscribed."""

    __tablename__ = "message_receipt"
    __table_args__ = (sa.UniqueConstraint("client_id", "fingerprint"),)
    id: Mapped[Id]
    fingerprint: Mapped[Blind]
    message_id: Mapped[Ref] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(sa.String(16))
    at: Mapped[dt.datetime]
    detail: Mapped[str] = mapped_column(sa.String(200), default="")


class LooseReceipt(Tenant, Base):
    """A receipt that named no message: one may turn up yet, and what was done about its address is done once.

    ``shut`` says that its address was known and shut when it came; the address itself is not kept.
    """

    __tablename__ = "loose_receipt"
    __table_args__ = (sa.Index("ix_loose_receipt_external", "client_id", "account_id", "external_id"),)
    client_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    fingerprint: Mapped[Blind] = mapped_column(primary_key=True)
    account_id: Mapped[Ref]
    external_id: Mapped[str] = mapped_column(sa.String(120), default="")
    state: Mapped[str] = mapped_column(sa.String(16))
    at: Mapped[dt.datetime]
    detail: Mapped[str] = mapped_column(sa.String(200), default="")
    shut: Mapped[bool] = mapped_column(default=False)
    received_at: Mapped[dt.datetime] = mapped_column(index=True)


class MessagingPolicy(Tenant, Base):
    """Quiet hours (minutes of the day in the person's zone) and caps of one client.

    ``caps`` lists ``{"purpose", "channel", "per", "limit"}``; ``per`` is day, week or month, ``*`` stands for any.
    """

    __tablename__ = "messaging_policy"
    __table_args__ = (
        sa.CheckConstraint("quiet_from BETWEEN 0 AND 1439 AND quiet_until BETWEEN 0 AND 1439", name="quiet"),
    )
    client_id: Mapped[int] = mapped_column(sa.BigInteger, sa.ForeignKey("client.id"), primary_key=True)
    quiet_from: Mapped[int] = mapped_column(sa.Integer, default=21 * 60)
    quiet_until: Mapped[int] = mapped_column(sa.Integer, default=8 * 60)
    caps: Mapped[list[dict[str, object]]] = mapped_column(Json, default=list)
    changed_at: Mapped[dt.datetime]


class MessageHistory(Tenant, Base):
    """Each change of a message's state, with the reason and who made it."""

    __tablename__ = "message_history"
    message_id: Mapped[Ref] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    state: Mapped[str] = mapped_column(sa.String(12))
    reason: Mapped[str] = mapped_column(sa.String(120), default="")
    at: Mapped[dt.datetime]
