"""What becomes of enrolments when one profile absorbs another."""

from __future__ import annotations

import sqlalchemy as sa

from fairlead.journeys.model import Enrolment
from fairlead.work import Work


def absorb(work: Work, absorbed_id: int, _survivor_id: int) -> None:
    """End the absorbed side's running enrolments: the person goes on under the profile that remains."""
    work.session.execute(
        sa.update(Enrolment)
        .where(Enrolment.profile_id == absorbed_id, Enrolment.state == "active")
        .values(state="exited", finished_at=work.now),
        execution_options={"synchronize_session": False},
    )
