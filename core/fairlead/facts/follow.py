"""How facts follow the identity that brought them when profiles merge or split."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.customers.heirs import cut, heir
from fairlead.facts.model import Event, Order, Touch
from fairlead.work import Work

QUIET = {"synchronize_session": False}


def absorb(work: Work, absorbed: Sequence[int]) -> None:
    """Give all facts of merged profiles to those they go on as."""
    for entity in (Event, Order, Touch):
        work.session.execute(
            sa.update(entity).where(entity.profile_id.in_(absorbed)).values(profile_id=heir(entity)),
            execution_options=QUIET,
        )


def give_back(work: Work, survivor_id: int, absorbed_id: int, identity_ids: Sequence[int]) -> None:
    """Give the facts that came by these identities, before or after the merge, back to the absorbed profile."""
    for part in cut(identity_ids):
        for entity in (Event, Order, Touch):
            work.session.execute(
                sa.update(entity)
                .where(entity.profile_id == survivor_id, entity.identity_id.in_(part))
                .values(profile_id=absorbed_id),
                execution_options=QUIET,
            )
