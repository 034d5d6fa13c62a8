"""What becomes of enrolments when profiles become one, and two again."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from fairlead.customers.heirs import cut, heir
from fairlead.customers.model import Profile
from fairlead.journeys.model import Enrolment
from fairlead.work import Work

QUIET = {"synchronize_session": False}


def absorb(work: Work, absorbed: Sequence[int]) -> dict[int, list[int]]:
    """Let merged profiles' running enrolments go on under their survivors; the answer is which, by absorbed profile.

    Where the survivor is on the journey already, or two come at once, one goes on and the others end.
    """
    other, its, mine = aliased(Enrolment), aliased(Profile), aliased(Profile)
    running = (Enrolment.profile_id.in_(absorbed), Enrolment.state == "active")
    # Whoever is the survivor, or goes on as the same survivor and was enrolled before.
    rival = (
        sa.select(other.id)
        .outerjoin(its, sa.and_(its.client_id == other.client_id, its.id == other.profile_id))
        .where(
            other.client_id == Enrolment.client_id,
            other.journey_id == Enrolment.journey_id,
            sa.or_(
                sa.and_(
                    other.profile_id == mine.merged_into,
                    sa.or_(other.state == "active", other.entry == Enrolment.entry),
                ),
                sa.and_(
                    its.merged_into == mine.merged_into,
                    other.profile_id.in_(absorbed),
                    other.state == "active",
                    other.id < Enrolment.id,
                ),
            ),
        )
        .exists()
    )
    free = (
        sa.select(Enrolment.id, Enrolment.profile_id)
        .join(mine, sa.and_(mine.client_id == Enrolment.client_id, mine.id == Enrolment.profile_id))
        .where(*running, sa.not_(rival))
        .order_by(Enrolment.id)
    )
    going_on: dict[int, list[int]] = {}
    for number, profile_id in work.session.execute(free):
        going_on.setdefault(profile_id, []).append(number)
    for part in cut(number for numbers in going_on.values() for number in numbers):
        work.session.execute(
            sa.update(Enrolment).where(Enrolment.id.in_(part)).values(profile_id=heir(Enrolment)),
            execution_options=QUIET,
        )
    work.session.execute(
        sa.update(Enrolment).where(*running).values(state="exited", finished_at=work.now), execution_options=QUIET
    )
    return going_on


def give_back(work: Work, enrolment_ids: Sequence[int], profile_id: int) -> None:
    """Make enrolments those of a profile."""
    for part in cut(enrolment_ids):
        work.session.execute(
            sa.update(Enrolment).where(Enrolment.id.in_(part)).values(profile_id=profile_id), execution_options=QUIET
        )
