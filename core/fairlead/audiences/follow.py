"""What becomes of tags and memberships when profiles become one, and two again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.audiences.model import ProfileTag, Score, Segment, SegmentChange, SegmentMember, Stage
from fairlead.audiences.sets import insert_selected
from fairlead.customers.heirs import cut
from fairlead.storage import bulk
from fairlead.storage.types import from_millis, to_millis
from fairlead.work import Work

QUIET = {"synchronize_session": False}
Held = list[list[Any]]


def absorb(work: Work, pairs: Sequence[tuple[int, int]]) -> dict[int, Held]:
    """Carry the tags of each absorbed profile (the second of a pair) over to its survivor.

    The answer is the tags each absorbed one had: ``[tag, at in ms, source, whether the survivor got it by this]``.
    Memberships end, scores and stages go: the next refresh computes them for who remains.
    """
    absorbed = [number for _, number in pairs]
    carried = _carry_tags(work, pairs)
    _end_memberships(work, absorbed)
    for entity in (ProfileTag, SegmentMember, Score, Stage):
        work.session.execute(sa.delete(entity).where(entity.profile_id.in_(absorbed)), execution_options=QUIET)
    return carried


def give_back(work: Work, survivor_id: int, absorbed_id: int, tags: Held) -> None:
    """Put the tags on the absorbed profile again, and take those off the survivor that it had by the merge only."""
    _put_on(work, [(absorbed_id, tag, at, source) for tag, at, source, _ in tags])
    for tag, at, source, gained in tags:
        if gained:
            work.session.execute(
                sa.delete(ProfileTag).where(
                    ProfileTag.profile_id == survivor_id,
                    ProfileTag.tag_id == tag,
                    ProfileTag.at == from_millis(at),
                    ProfileTag.source == source,
                ),
                execution_options=QUIET,
            )


def _carry_tags(work: Work, pairs: Sequence[tuple[int, int]]) -> dict[int, Held]:
    found: dict[int, Held] = {}
    for part in cut(number for pair in pairs for number in pair):
        at = sa.type_coerce(ProfileTag.at, sa.BigInteger)
        query = sa.select(ProfileTag.profile_id, ProfileTag.tag_id, at, ProfileTag.source)
        for profile_id, *tag in work.session.execute(query.where(ProfileTag.profile_id.in_(part))):
            found.setdefault(profile_id, []).append(tag)
    held = {(profile_id, tag[0]) for profile_id, tags in found.items() for tag in tags}
    carried: dict[int, Held] = {}
    new = []
    for survivor_id, absorbed_id in pairs:
        for tag, when, source in sorted(found.get(absorbed_id, [])):
            gained = (survivor_id, tag) not in held
            if gained:
                held.add((survivor_id, tag))
                new.append((survivor_id, tag, when, source))
            carried.setdefault(absorbed_id, []).append([tag, when, source, gained])
    _put_on(work, new)
    return carried


def _put_on(work: Work, rows: Sequence[tuple[int, int, int, str]]) -> None:
    if rows:
        columns = dict(zip(("profile_id", "tag_id", "at", "source"), zip(*rows, strict=True), strict=True))
        bulk.insert(work.session, ProfileTag, columns, ignore_known=True)


def _end_memberships(work: Work, profile_ids: Sequence[int]) -> None:
    """Write the exits of people who are gone, and count them no more."""
    now = to_millis(work.now)
    member = (SegmentMember.client_id == work.client_id, SegmentMember.profile_id.in_(profile_ids))
    # A person has one change per instant, and the last refresh may have been this very millisecond.
    refreshed = sa.type_coerce(Segment.refreshed_at, sa.BigInteger)
    at = sa.case((refreshed >= now, refreshed + 1), else_=now)
    exits = (
        sa.select(SegmentMember.segment_id, SegmentMember.profile_id, at, sa.literal(False).label("entered"))
        .join(Segment, sa.and_(Segment.client_id == SegmentMember.client_id, Segment.id == SegmentMember.segment_id))
        .where(*member)
    )
    insert_selected(work, SegmentChange, ("segment_id", "profile_id", "at", "entered"), exits)
    leaving = sa.select(sa.func.count()).where(*member, SegmentMember.segment_id == Segment.id)
    work.session.execute(
        sa.update(Segment)
        .where(Segment.id.in_(sa.select(SegmentMember.segment_id).where(*member)))
        .values(head_count=Segment.head_count - leaving.correlate(Segment).scalar_subquery()),
        execution_options=QUIET,
    )
