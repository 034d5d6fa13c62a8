"""Messages stay with the person they were sent to."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.messaging.model import Message
from fairlead.work import Work

LOOKUP = 5000


def absorb(work: Work, absorbed_id: int, survivor_id: int) -> list[int]:
    """Count the messages of one profile as another's, so caps hold for the person; the answer is their ids."""
    moved = list(work.session.scalars(sa.select(Message.id).where(Message.profile_id == absorbed_id)))
    give_back(work, moved, survivor_id)
    return moved


def give_back(work: Work, message_ids: Sequence[int], profile_id: int) -> None:
    """Make messages those of a profile."""
    for start in range(0, len(message_ids), LOOKUP):
        work.session.execute(
            sa.update(Message).where(Message.id.in_(message_ids[start : start + LOOKUP])).values(profile_id=profile_id),
            execution_options={"synchronize_session": False},
        )
