"""Numbers of people as a caller may see them: exact for whoever may list people, rough where they are few otherwise."""

from __future__ import annotations

from fairlead.audiences.segments import SMALL, may_count_few
from fairlead.work import Work

FEW = f"Callers without profiles:read see {SMALL} for anything below {SMALL}."
"""What the description of every such number says."""


def is_exact(work: Work, count: int) -> bool:
    """Whether the caller may see this number of people as it is."""
    return count >= SMALL or may_count_few(work)


def shown_count(work: Work, count: int) -> int:
    """The number of people as the caller may see it."""
    return count if is_exact(work, count) else SMALL
