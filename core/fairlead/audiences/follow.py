"""What becomes of tags and memberships when one profile absorbs another."""

from __future__ import annotations

import sqlalchemy as sa

from fairlead.audiences.model import ProfileTag, Score, SegmentMember, Stage
from fairlead.work import Work

QUIET = {"synchronize_session": False}


def absorb(work: Work, absorbed_id: int, survivor_id: int) -> None:
    """Carry tags over. Memberships, scores and stages go: the next refresh computes them for who remains."""
    held = sa.select(ProfileTag.tag_id).where(ProfileTag.profile_id == survivor_id)
    work.session.execute(
        sa.update(ProfileTag)
        .where(ProfileTag.profile_id == absorbed_id, ProfileTag.tag_id.not_in(held))
        .values(profile_id=survivor_id),
        execution_options=QUIET,
    )
    for entity in (ProfileTag, SegmentMember, Score, Stage):
        work.session.execute(sa.delete(entity).where(entity.profile_id == absorbed_id), execution_options=QUIET)
