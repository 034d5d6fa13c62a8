"""Who a merged profile goes on as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.customers.model import Profile
from fairlead.work import Work

LOOKUP = 5000


def cut(numbers: Iterable[int]) -> Iterator[Sequence[int]]:
    """``numbers``, each once, in parts that one statement can name."""
    once = list(dict.fromkeys(numbers))
    for start in range(0, len(once), LOOKUP):
        yield once[start : start + LOOKUP]


def heir(entity: Any) -> Any:
    """The SQL expression for the survivor of the merged profile that a row of ``entity`` belongs to."""
    return (
        sa.select(Profile.merged_into)
        .where(Profile.client_id == entity.client_id, Profile.id == entity.profile_id)
        .correlate(entity)
        .scalar_subquery()
    )


def surviving(work: Work, profile_ids: Iterable[int]) -> dict[int, int]:
    """The profile that each of these goes on as, itself unless it was merged; those that do not exist are left out."""
    asked = list(dict.fromkeys(profile_ids))
    step: dict[int, int] = {}
    wanted = asked
    while wanted:
        found: dict[int, int] = {}
        for part in cut(wanted):
            query = sa.select(Profile.id, sa.func.coalesce(Profile.merged_into, Profile.id)).where(Profile.id.in_(part))
            found.update(work.session.execute(query).all())
        step |= found
        wanted = [into for into in found.values() if into not in step]
    goes_on: dict[int, int] = {}
    for profile_id in asked:
        last = profile_id
        while step.get(last, last) != last:
            last = step[last]
        if profile_id in step:
            goes_on[profile_id] = last
    return goes_on
