"""Messages stay with the person they were sent to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.customers.heirs import cut, heir
from fairlead.customers.model import Profile
from fairlead.journeys.model import Enrolment
from fairlead.messaging.model import QUEUED, SENDING, SENT, UNKNOWN, Message
from fairlead.work import Work

REPEATED = "merged_with_one_who_has_it"
OUT = (SENDING, SENT, UNKNOWN)
QUIET = {"synchronize_session": False}


def absorb(work: Work, absorbed: Sequence[int]) -> dict[int, list[int]]:
    """Count the messages of merged profiles as their survivors', so caps hold for the person; the answer is their ids.

    What a journey has for both goes out once: :func:`repeated` holds the rest back when it is claimed.
    """
    moved: dict[int, list[int]] = {}
    query = sa.select(Message.id, Message.profile_id).where(Message.profile_id.in_(absorbed)).order_by(Message.id)
    for number, profile_id in work.session.execute(query):
        moved.setdefault(profile_id, []).append(number)
    work.session.execute(
        sa.update(Message).where(Message.profile_id.in_(absorbed)).values(profile_id=heir(Message)),
        execution_options=QUIET,
    )
    return moved


def give_back(work: Work, message_ids: Sequence[int], profile_id: int) -> None:
    """Make messages those of a profile."""
    for part in cut(message_ids):
        work.session.execute(
            sa.update(Message).where(Message.id.in_(part)).values(profile_id=profile_id), execution_options=QUIET
        )


def repeated(work: Work, messages: Sequence[Message]) -> set[int]:
    """Of these messages those that their person has, or is to get before, from the same node of the same journey.

    Nobody is on one journey twice at a time but who was two people when they entered it.
    """
    people = {row.profile_id for row in messages if row.enrolment_id is not None}
    # Few were ever merged; a join over everybody's messages would be planned by guesses.
    survivors = set(work.session.scalars(sa.select(Profile.merged_into).where(Profile.merged_into.in_(people))))
    if not survivors:
        return set()
    alike: dict[tuple[int, int, str], list[Any]] = {}
    for row in work.session.execute(
        sa.select(
            Message.profile_id,
            Enrolment.journey_id,
            Message.node,
            Message.id,
            Message.state,
            Enrolment.id.label("enrolment"),
            Enrolment.enrolled_at,
            Enrolment.finished_at,
        )
        .join(Enrolment, sa.and_(Enrolment.client_id == Message.client_id, Enrolment.id == Message.enrolment_id))
        .where(Message.profile_id.in_(survivors), Message.state.in_((*OUT, QUEUED)))
    ):
        alike.setdefault(row[:3], []).append(row)
    asked = {row.id for row in messages}
    return {
        mine.id
        for rows in alike.values()
        for mine in rows
        if mine.id in asked and any(_goes_before(other, mine) for other in rows)
    }


def _goes_before(other: Any, mine: Any) -> bool:
    """Whether another message, of an enrolment that ran at the same time, is out or goes out first."""
    return (
        other.enrolment != mine.enrolment
        and (other.state in OUT or other.id < mine.id)
        and (other.finished_at is None or other.finished_at >= mine.enrolled_at)
        and (mine.finished_at is None or mine.finished_at >= other.enrolled_at)
    )
