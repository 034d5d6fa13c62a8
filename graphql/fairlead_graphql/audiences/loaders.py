"""How segments, tags and scoring schemes are read, in sets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from strawberry.scalars import JSON

from fairlead.audiences import model
from fairlead.audiences.evaluate import Verdict
from fairlead.audiences.segments import explain_membership, preview_segment
from fairlead.customers.model import Profile
from fairlead.work import Work
from fairlead_graphql.audiences import types
from fairlead_graphql.catalogue import described
from fairlead_graphql.customers.loaders import PROFILE
from fairlead_graphql.customers.types import Profile as ProfileType
from fairlead_graphql.few import is_exact, shown_count
from fairlead_graphql.listing import Children, Column, Connection, Page, Plan, read_by
from fairlead_graphql.nesting import read_under
from fairlead_graphql.nodes import node_type
from fairlead_graphql.selection import Selection

Member, Change, Segment, Tag = model.SegmentMember, model.SegmentChange, model.Segment, model.Tag


def _nothing() -> None:
    return None


def profiles_by_id(work: Work, profiles: Sequence[int], selection: Selection) -> dict[int, ProfileType]:
    """Profiles that were not erased, by id."""
    query = sa.select(Profile).where(Profile.id.in_(profiles), Profile.state != "erased")
    return {number: found[0] for number, found in read_by(work, PROFILE, query, Profile.id, selection).items()}


# -- segments -------------------------------------------------------------------------------------------------------


def _head_count(work: Work, count: int, refreshed_at: dt.datetime | None) -> int:
    return 0 if refreshed_at is None else shown_count(work, count)


def _head_is_exact(work: Work, count: int, refreshed_at: dt.datetime | None) -> bool:
    return refreshed_at is None or is_exact(work, count)


SEGMENT = Plan(
    types.Segment,
    Segment.id,
    {
        "name": Column((Segment.name,)),
        "title": Column((Segment.title,)),
        "state": Column((Segment.state,)),
        "rule": Column((Segment.rule,)),
        "headCount": Column((Segment.head_count, Segment.refreshed_at), _head_count),
        "headCountIsExact": Column((Segment.head_count, Segment.refreshed_at), _head_is_exact),
        "refreshedAt": Column((Segment.refreshed_at,)),
        "createdAt": Column((Segment.created_at,)),
        "changedAt": Column((Segment.changed_at,)),
    },
    extra={"clientId": Segment.client_id},
)

MEMBER = Plan(
    types.SegmentMember,
    Member.profile_id,
    {"since": Column((Member.since,))},
    {"profile": Children(profiles_by_id, _nothing)},
)

CHANGE = Plan(
    types.SegmentChange,
    Change.profile_id,
    {"at": Column((Change.at,)), "entered": Column((Change.entered,))},
    {"profile": Children(profiles_by_id, _nothing)},
)


def members_by_segment(
    work: Work, segments: Sequence[int], page: Page, selection: Selection
) -> dict[int, Connection[types.SegmentMember]]:
    """A page of members per segment, by profile id."""
    query = sa.select(Member)
    return read_under(work, MEMBER, query, Member.segment_id, segments, Member.profile_id, page, selection)


def changes_by_segment(
    work: Work, segments: Sequence[int], page: Page, selection: Selection
) -> dict[int, Connection[types.SegmentChange]]:
    """A page of entries and exits per segment, the newest first."""
    query, parent = sa.select(Change), Change.segment_id
    return read_under(work, CHANGE, query, parent, segments, Change.at, page, selection, descending=True)


def preview(work: Work, rule: Mapping[str, Any], sample: int) -> types.SegmentPreview:
    """Whom a rule would hold for. Raises ``Refusals`` with paths into the rule."""
    found = preview_segment(work, rule, sample=sample)
    return types.SegmentPreview(
        client_id=work.client_id,
        people=found.sample,
        head_count=found.head_count,
        head_count_is_exact=found.exact,
    )


def explain(work: Work, segment_id: int, profile_id: int) -> types.SegmentExplanation:
    """The verdicts of a segment's rule for one person, flattened from the root down."""
    verdict = explain_membership(work, segment_id, profile_id)
    return types.SegmentExplanation(matched=verdict.matched, verdicts=list(_flat(verdict, ())))


def _flat(verdict: Verdict, above: tuple[str, ...]) -> list[types.RuleVerdict]:
    is_group = verdict.key in ("all", "any", "none")
    here = types.RuleVerdict(
        path=".".join(above if is_group else (*above, verdict.key)),
        key=verdict.key,
        matched=verdict.matched,
        asked=JSON(dict(verdict.asked)),
        seen=JSON(dict(verdict.seen)),
    )
    found = [here]
    for at, part in enumerate(verdict.parts):
        found += _flat(part, (*above, verdict.key, str(at)) if is_group else (*above, verdict.key))
    return found


# -- tags -----------------------------------------------------------------------------------------------------------


def parents_by_tag(work: Work, tags: Sequence[int], selection: Selection) -> dict[int, types.Tag]:
    """The tag above each."""
    child = aliased(Tag)
    query = sa.select(Tag).join(child, child.parent_id == Tag.id).where(child.id.in_(tags))
    return {number: found[0] for number, found in read_by(work, TAG, query, child.id, selection).items()}


def counts_by_tag(work: Work, tags: Sequence[int], _selection: Selection) -> dict[int, int]:
    """How many people have each tag, as the caller may see it."""
    rows = work.session.execute(
        sa.select(model.ProfileTag.tag_id, sa.func.count())
        .where(model.ProfileTag.tag_id.in_(tags))
        .group_by(model.ProfileTag.tag_id)
    )
    counts = dict(rows.all())
    return {number: shown_count(work, counts.get(number, 0)) for number in tags}


TAG = Plan(
    types.Tag,
    Tag.id,
    {
        "name": Column((Tag.name,)),
        "level": Column((Tag.level,)),
        "origin": Column((Tag.origin,)),
        "rule": Column((Tag.rule,)),
        "note": Column((Tag.note,)),
        "owner": Column((Tag.owner,)),
        "createdAt": Column((Tag.created_at,)),
    },
    {"parent": Children(parents_by_tag, _nothing), "profileCount": Children(counts_by_tag, int)},
    {"clientId": Tag.client_id},
)

node_type(SEGMENT, "segments:read")
node_type(TAG, "segments:read")


def scoring_schemes(work: Work) -> list[types.ScoringScheme]:
    """The schemes that are on for the client, by name."""
    return [
        types.ScoringScheme(**described(entry.manifest), plugin=entry.plugin)
        for _, entry in sorted(work.plugins.scoring_schemes.items())
    ]
