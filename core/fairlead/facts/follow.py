"""How facts follow the identity that brought them when profiles merge or split."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.facts.model import Event, Order, Touch
from fairlead.work import Work

QUIET = {"synchronize_session": False}


def absorb(work: Work, absorbed_id: int, survivor_id: int) -> None:
    """Give all facts of one profile to another."""
    for entity in (Event, Order, Touch):
        work.session.execute(
            sa.update(entity).where(entity.profile_id == absorbed_id).values(profile_id=survivor_id),
            execution_options=QUIET,
        )


def give_back(work: Work, survivor_id: int, absorbed_id: int, identity_ids: Sequence[int]) -> None:
    """Give the facts that came by these identities, before or after the merge, back to the absorbed profile."""
    for entity in (Event, Order, Touch):
        work.session.execute(
            sa.update(entity)
            .where(entity.profile_id == survivor_id, entity.identity_id.in_(identity_ids))
            .values(profile_id=absorbed_id),
            execution_options=QUIET,
        )
