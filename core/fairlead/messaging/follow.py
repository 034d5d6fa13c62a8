"""Messages stay with the person they were sent to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from fairlead.customers.heirs import cut, heir
from fairlead.journeys.model import Enrolment
from fairlead.messaging.history import set_state
from fairlead.messaging.model import CANCELLED, QUEUED, SENDING, SENT, UNKNOWN, Message
from fairlead.work import Work

REPEATED = "merged_with_one_who_has_it"
QUIET = {"synchronize_session": False}


def absorb(work: Work, absorbed: Sequence[int]) -> dict[int, list[int]]:
    """Count the messages of merged profiles as their survivors', so caps hold for the person; the answer is their ids.

    What a journey had queued for both at one time is cancelled on the absorbed side: one person gets it once.
    """
    _cancel_repeats(work, absorbed)
    moved: dict[int, list[int]] = {}
    query = sa.select(Message.id, Message.profile_id).where(Message.profile_id.in_(absorbed)).order_by(Message.id)
    for number, profile_id in work.session.execute(query):
        moved.setdefault(profile_id, []).append(number)
    work.session.execute(
        sa.update(Message).where(Message.profile_id.in_(absorbed)).values(profile_id=heir(Message)),
        execution_options=QUIET,
    )
    return moved


def repeated(work: Work, message_ids: Sequence[int]) -> set[int]:
    """Of these messages those that their person has, or is to get before, from the same node of the same journey.

    Nobody is on one journey twice at a time but who was two people when they entered it.
    """
    query = _repeats(Message.profile_id, sa.or_(_OUT, sa.and_(_TWIN.state == QUEUED, _TWIN.id < Message.id)))
    return set(work.session.scalars(query.where(Message.id.in_(message_ids))))


def _cancel_repeats(work: Work, absorbed: Sequence[int]) -> None:
    query = _repeats(heir(Message), sa.or_(_OUT, _TWIN.state == QUEUED)).where(
        Message.profile_id.in_(absorbed), Message.state == QUEUED, Message.sent_at.is_(None)
    )
    set_state(work, dict.fromkeys(work.session.scalars(query).all(), (CANCELLED, REPEATED)))


_TWIN = aliased(Message)
_OUT = _TWIN.state.in_((SENDING, SENT, UNKNOWN))


def _repeats(person: Any, state: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Messages whose node sent or queued another to ``person`` in an enrolment that ran at the same time."""
    own, other = aliased(Enrolment), aliased(Enrolment)
    same = (
        sa.select(_TWIN.id)
        .join(other, sa.and_(other.client_id == _TWIN.client_id, other.id == _TWIN.enrolment_id))
        .where(
            _TWIN.client_id == Message.client_id,
            _TWIN.profile_id == person,
            _TWIN.node == Message.node,
            _TWIN.enrolment_id != Message.enrolment_id,
            state,
            other.journey_id == own.journey_id,
            sa.or_(other.finished_at.is_(None), other.finished_at >= own.enrolled_at),
            sa.or_(own.finished_at.is_(None), own.finished_at >= other.enrolled_at),
        )
        .exists()
    )
    return (
        sa.select(Message.id)
        .join(own, sa.and_(own.client_id == Message.client_id, own.id == Message.enrolment_id))
        .where(same)
    )


def give_back(work: Work, message_ids: Sequence[int], profile_id: int) -> None:
    """Make messages those of a profile."""
    for part in cut(message_ids):
        work.session.execute(
            sa.update(Message).where(Message.id.in_(part)).values(profile_id=profile_id), execution_options=QUIET
        )
