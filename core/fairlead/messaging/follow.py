"""Messages stay with the person they were sent to."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from fairlead.journeys.model import Enrolment
from fairlead.messaging.history import set_state
from fairlead.messaging.model import CANCELLED, QUEUED, SENDING, SENT, UNKNOWN, Message
from fairlead.work import Work

LOOKUP = 5000


def absorb(work: Work, absorbed_id: int, survivor_id: int) -> list[int]:
    """Count the messages of one profile as another's, so caps hold for the person; the answer is their ids.

    What a journey had queued for both is cancelled on the absorbed side: one person gets it once.
    """
    _cancel_repeats(work, absorbed_id, survivor_id)
    moved = list(work.session.scalars(sa.select(Message.id).where(Message.profile_id == absorbed_id)))
    give_back(work, moved, survivor_id)
    return moved


def _cancel_repeats(work: Work, absorbed_id: int, survivor_id: int) -> None:
    twin, own, other = aliased(Message), aliased(Enrolment), aliased(Enrolment)
    same = (
        sa.select(twin.id)
        .join(other, other.id == twin.enrolment_id)
        .where(
            twin.profile_id == survivor_id,
            other.journey_id == own.journey_id,
            twin.node == Message.node,
            twin.state.in_((QUEUED, SENDING, SENT, UNKNOWN)),
        )
        .exists()
    )
    repeats = work.session.scalars(
        sa.select(Message.id)
        .join(own, own.id == Message.enrolment_id)
        .where(Message.profile_id == absorbed_id, Message.state == QUEUED, Message.sent_at.is_(None), same)
    )
    set_state(work, dict.fromkeys(repeats.all(), (CANCELLED, "merged_with_one_who_has_it")))


def give_back(work: Work, message_ids: Sequence[int], profile_id: int) -> None:
    """Make messages those of a profile."""
    for start in range(0, len(message_ids), LOOKUP):
        work.session.execute(
            sa.update(Message).where(Message.id.in_(message_ids[start : start + LOOKUP])).values(profile_id=profile_id),
            execution_options={"synchronize_session": False},
        )
