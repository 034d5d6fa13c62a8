"""Each change of a message's state is kept, with its reason, in the transaction that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from fairlead.messaging.model import Message, MessageHistory
from fairlead.storage import bulk
from fairlead.storage.types import to_millis
from fairlead.work import Work


def note_states(work: Work, changes: Mapping[int, tuple[str, str]]) -> None:
    """Append one line per message: id to (state, reason)."""
    if not changes:
        return
    message_ids = list(changes)
    last = dict(
        work.session.execute(
            sa.select(MessageHistory.message_id, sa.func.max(MessageHistory.number))
            .where(MessageHistory.message_id.in_(message_ids))
            .group_by(MessageHistory.message_id)
        ).all()
    )
    columns: dict[str, Sequence[object]] = {
        "message_id": message_ids,
        "number": [last.get(message_id, 0) + 1 for message_id in message_ids],
        "state": [changes[message_id][0] for message_id in message_ids],
        "reason": [changes[message_id][1][:120] for message_id in message_ids],
        "at": [to_millis(work.now)] * len(message_ids),
    }
    bulk.insert(work.session, MessageHistory, columns)


def set_state(work: Work, changes: Mapping[int, tuple[str, str]], **values: object) -> None:
    """Give messages new states with reasons, and note them. ``values`` are set on all."""
    for state, reason in set(changes.values()):
        chosen = [message_id for message_id, change in changes.items() if change == (state, reason)]
        work.session.execute(
            sa.update(Message).where(Message.id.in_(chosen)).values(state=state, reason=reason[:120], **values),
            execution_options={"synchronize_session": False},
        )
    note_states(work, changes)
