"""What is left of senders that died, and of accounts that will not send again."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fairlead.messaging.history import set_state
from fairlead.messaging.model import IS_OPEN, QUEUED, REFUSED, SENDING, UNKNOWN, Message
from fairlead.messaging.settling import MAX_ATTEMPTS, announce_unknown, keep_due
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

LEASE = dt.timedelta(minutes=5)
GIVEN_UP = 5_000
SENDER_LOST = "sender_lost"


def is_lost(now: dt.datetime) -> sa.ColumnElement[bool]:
    """Whether a message's lease is over. One that ends too far away was written by a clock that was ahead."""
    return sa.and_(Message.state == SENDING, sa.or_(Message.lease_until < now, Message.lease_until > now + 2 * LEASE))


def recover_leases(runtime: Fairlead, client_id: int, account_id: int, *, idempotent: bool) -> int:
    """Take back messages whose sender died: to ``queued`` where the channel drops repeats, to ``unknown`` elsewhere.

    A message that outlived its senders too often is not tried again: it may be what kills them.
    """

    def recover(work: Work) -> int:
        lost = work.session.execute(
            sa.select(Message.id, Message.attempts)
            .where(Message.account_id == account_id, IS_OPEN, is_lost(work.now))
            .with_for_update(skip_locked=True)
        ).all()
        if not lost:
            return 0
        again = {message_id for message_id, attempts in lost if idempotent and attempts < MAX_ATTEMPTS}
        unknown = [message_id for message_id, _ in lost if message_id not in again]
        # ``sent_at`` stays: it says that the message may be out already.
        set_state(work, dict.fromkeys(again, (QUEUED, SENDER_LOST)), owner=None, lease_until=None)
        # An unknown one keeps its owner, who may only be slow and tell the outcome yet.
        set_state(work, dict.fromkeys(unknown, (UNKNOWN, SENDER_LOST)), lease_until=None)
        announce_unknown(work, account_id, unknown)
        return len(lost)

    return runtime.run(client_id, recover)


def give_up(work: Work, account_id: int) -> dict[int, tuple[str, str]]:
    """End what is queued for an account that will not send again; what may be out already is ``unknown``."""
    left = work.session.execute(
        sa.select(Message.id, Message.sent_at)
        .where(Message.account_id == account_id, IS_OPEN, Message.state == QUEUED)
        .limit(GIVEN_UP)
    ).all()
    return end_unsent(work, account_id, {row.id: (row.sent_at, "account_disconnected") for row in left})


def end_unsent(
    work: Work, account_id: int, ends: dict[int, tuple[dt.datetime | None, str]]
) -> dict[int, tuple[str, str]]:
    """Refuse messages: id to ``sent_at`` and reason. One that an earlier sender may have sent becomes ``unknown``."""
    states = {
        message_id: (REFUSED if sent_at is None else UNKNOWN, reason) for message_id, (sent_at, reason) in ends.items()
    }
    set_state(work, states)
    unknown = [message_id for message_id, (state, _) in states.items() if state == UNKNOWN]
    keep_due(work, unknown)
    announce_unknown(work, account_id, unknown)
    return states
