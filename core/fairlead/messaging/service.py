"""What a person may do with messages: look at them, settle an unknown one, cancel a queued one, retry failed ones."""

from __future__ import annotations

import sqlalchemy as sa

from fairlead.channels.service import get_account
from fairlead.errors import Conflict, NotFound
from fairlead.governance.audit import record
from fairlead.messaging.history import set_state
from fairlead.messaging.model import CANCELLED, FAILED, QUEUED, SENT, UNKNOWN, Message
from fairlead.work import Work

MOST_RETRIED = 5_000


def get_message(work: Work, message_id: int, *, for_update: bool = False) -> Message:
    """The message, locked against a worker that would move it on if ``for_update``; raises ``NotFound``."""
    message = work.session.get(Message, message_id, with_for_update=for_update or None, populate_existing=for_update)
    if message is None:
        raise NotFound("there is no such message", path=("messageId",))
    return message


def resolve_unknown(work: Work, message_id: int, *, was_sent: bool) -> Message:
    """Settle a message whose outcome nobody knew: it was sent, or it was not and may be sent again."""
    message = get_message(work, message_id, for_update=True)
    if message.state != UNKNOWN:
        raise Conflict(f"the message is {message.state}, not unknown", path=("messageId",))
    if was_sent:
        set_state(work, {message_id: (SENT, "settled_by_person")}, owner=None, lease_until=None)
    else:
        set_state(
            work,
            {message_id: (QUEUED, "settled_by_person")},
            owner=None,
            lease_until=None,
            sent_at=None,
            due_at=work.now,
        )
    record(work, "message.resolve", "message", str(message_id), {"state": UNKNOWN}, {"was_sent": was_sent})
    work.session.refresh(message)
    return message


def cancel_message(work: Work, message_id: int) -> Message:
    """Take a message that has not left yet out of the outbox."""
    message = get_message(work, message_id, for_update=True)
    before = message.state
    if before not in (QUEUED, FAILED):
        raise Conflict(f"the message is {before} and cannot be cancelled", path=("messageId",))
    set_state(work, {message_id: (CANCELLED, "cancelled_by_person")})
    record(work, "message.cancel", "message", str(message_id), {"state": before}, {"state": CANCELLED})
    work.session.refresh(message)
    return message


def retry_failed(work: Work, account_id: int) -> int:
    """Queue again what an account tried too often, at most :data:`MOST_RETRIED` at a time; answers how many."""
    get_account(work, account_id)
    failed = sa.select(Message.id).where(Message.account_id == account_id, Message.state == FAILED)
    found = work.session.scalars(failed.order_by(Message.id).limit(MOST_RETRIED).with_for_update()).all()
    again = dict.fromkeys(found, (QUEUED, "retried_by_person"))
    set_state(work, again, attempts=0, due_at=work.now)
    record(work, "message.retry", "channel_account", str(account_id), None, {"messages": len(found)})
    return len(found)


def count_by_state(work: Work, journey_id: int | None = None) -> list[tuple[str, str, str, int]]:
    """Channel, state, reason and number of messages, of all or of one journey."""
    from fairlead.journeys.model import Enrolment

    query = sa.select(Message.channel, Message.state, Message.reason, sa.func.count()).group_by(
        Message.channel, Message.state, Message.reason
    )
    if journey_id is not None:
        query = query.join(Enrolment, Enrolment.id == Message.enrolment_id).where(Enrolment.journey_id == journey_id)
    rows = work.session.execute(query.order_by(Message.channel, Message.state, Message.reason))
    return [(channel, state, reason, count) for channel, state, reason, count in rows]
