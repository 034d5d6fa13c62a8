"""Segments: a named rule, the people it holds for, and how both change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fairlead.audiences.checks import check_rule, prepare_rule
from fairlead.audiences.compile import members
from fairlead.audiences.evaluate import Verdict, evaluate
from fairlead.audiences.model import Segment, SegmentChange, SegmentMember
from fairlead.audiences.rules import Rule, dump_rule, leaves, parse_rule
from fairlead.audiences.sets import delete_selected, insert_selected
from fairlead.audiences.subjects import load_subject
from fairlead.customers.model import Profile
from fairlead.errors import Conflict, InvalidInput, NotFound
from fairlead.governance.audit import record
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.storage.locks import lock
from fairlead.storage.types import MILLISECOND, to_millis
from fairlead.work import Work

LONGEST_NAME = 80
SMALL = 10
MOST_SAMPLED = 100


@dataclass(frozen=True, slots=True)
class Preview:
    """How many people a rule holds for, and some of them.

    When not ``exact``, the true number is below ``head_count`` (which is 10) and there is no sample: a count of few
    would tell about single persons.
    """

    head_count: int
    exact: bool
    sample: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh changed, and how many are in the segment since."""

    segment_id: int
    entered: int
    left: int
    head_count: int
    at: dt.datetime


# -- reading ----------------------------------------------------------------------------------------------------------


def get_segment(work: Work, segment_id: int) -> Segment:
    """The segment; raises ``NotFound``."""
    return _one(work, Segment.id == segment_id)


def find_segment(work: Work, name: str) -> Segment:
    """The segment of this name; raises ``NotFound``."""
    return _one(work, Segment.name == name)


def list_members(work: Work, segment_id: int, *, first: int = 20, after_id: int | None = None) -> list[SegmentMember]:
    """Who is in the segment since its last refresh, by profile id, above ``after_id`` (keyset)."""
    query = sa.select(SegmentMember).where(SegmentMember.segment_id == segment_id)
    if after_id is not None:
        query = query.where(SegmentMember.profile_id > after_id)
    return list(work.session.scalars(query.order_by(SegmentMember.profile_id).limit(first)))


def may_count_few(work: Work) -> bool:
    """Whether the actor may know the number of people where they are few: whoever may list people can count them."""
    return work.actor.may("profiles:read", work.client_id)


def preview_segment(
    work: Work, rule: Rule | Mapping[str, Any], *, sample: int = 10, exact: bool | None = None
) -> Preview:
    """Count the people a rule would hold for and show at most ``sample`` of them, in one statement over the facts.

    ``exact`` false hides counts below 10; by default it is :func:`may_count_few`.
    """
    if not 0 <= sample <= MOST_SAMPLED:
        raise InvalidInput(f"a sample has 0 to {MOST_SAMPLED} people", path=("sample",), next_step="ask for fewer")
    if exact is None:
        exact = may_count_few(work)
    query = members(work, check_rule(work, rule)).add_columns(sa.func.count().over())
    rows = work.session.execute(query.order_by(Profile.id).limit(max(sample, 1))).all()
    count = rows[0][1] if rows else 0
    if not exact and count < SMALL:
        return Preview(SMALL, exact=False)
    return Preview(count, exact=True, sample=tuple(row[0] for row in rows[:sample]))


def explain_membership(work: Work, segment_id: int, profile_id: int) -> Verdict:
    """Whether the segment's rule holds for one person now, down to each condition with the values seen."""
    prepared = prepare_rule(work, get_segment(work, segment_id).rule)
    return evaluate(prepared, load_subject(work, profile_id, rules=[prepared]))


# -- changing ---------------------------------------------------------------------------------------------------------


def create_segment(work: Work, name: str, title: str, rule: Rule | Mapping[str, Any]) -> Segment:
    """A new, empty segment; :func:`refresh_segment` fills it. The name is its key in other rules and never changes."""
    name, title = check_name(name, "name"), check_name(title or name, "title")
    _lock_names(work)
    if work.session.scalar(sa.select(Segment.id).where(Segment.name == name)) is not None:
        raise Conflict(f"there is a segment {name!r} already", path=("name",), next_step="choose another name")
    checked = dump_rule(check_rule(work, rule, segment=name).rule)
    segment = Segment(name=name, title=title, rule=checked, created_at=work.now, changed_at=work.now)
    work.session.add(segment)
    work.session.flush()
    record(work, "segment.created", "segment", segment.id, after={"name": name, "title": title, "rule": checked})
    return segment


def update_segment(
    work: Work, segment_id: int, *, title: str | None = None, rule: Rule | Mapping[str, Any] | None = None
) -> Segment:
    """Change the title or the rule. Who is in it changes with the next refresh."""
    _lock_names(work)
    segment = _active(work, segment_id)
    before = {"title": segment.title, "rule": segment.rule}
    if title is not None:
        segment.title = check_name(title, "title")
    if rule is not None:
        segment.rule = dump_rule(check_rule(work, rule, segment=segment.name).rule)
    segment.changed_at = work.now
    record(work, "segment.updated", "segment", segment.id, before, {"title": segment.title, "rule": segment.rule})
    return segment


def archive_segment(work: Work, segment_id: int) -> Segment:
    """Take a segment out of use; its history stays. Refused while another segment's rule uses it."""
    _lock_names(work)
    segment = _active(work, segment_id)
    others = work.session.execute(sa.select(Segment.name, Segment.rule).where(Segment.state == "active"))
    users = [other.name for other in others if segment.name in _used(other.rule)]
    if users:
        message = f"the segment is used by {', '.join(sorted(users)[:5])}"
        raise Conflict(message, next_step="change the rules of those segments first")
    segment.state, segment.changed_at = "archived", work.now
    record(work, "segment.archived", "segment", segment.id, {"state": "active"}, {"state": "archived"})
    return segment


def refresh_segment(work: Work, segment_id: int) -> Refresh:
    """Bring the membership to what the rule says at ``work.now``.

    The rule is evaluated once, for all active profiles. Entries and exits are written to the history, the members
    follow from it, in as many statements for a million people as for one. ``segment.refreshed`` is raised.
    """
    segment = _active(work, segment_id, for_update=True)
    at = work.now
    if segment.refreshed_at is not None and segment.refreshed_at >= at:
        # A history has one row per person and instant, so a second refresh in one millisecond takes the next.
        at = segment.refreshed_at + MILLISECOND
    insert_selected(work, SegmentChange, ("segment_id", "profile_id", "at", "entered"), _changes(work, segment, at))
    changed = sa.select(SegmentChange.profile_id).where(
        SegmentChange.client_id == work.client_id, SegmentChange.segment_id == segment.id, SegmentChange.at == at
    )
    new = changed.add_columns(*_constants(segment.id, at)).where(SegmentChange.entered)
    entered = insert_selected(work, SegmentMember, ("profile_id", "segment_id", "since"), new)
    gone = changed.where(sa.not_(SegmentChange.entered))
    left = delete_selected(work, SegmentMember, SegmentMember.segment_id == segment.id, people=gone)
    count = sa.select(sa.func.count(SegmentMember.profile_id)).where(SegmentMember.segment_id == segment.id)
    segment.head_count, segment.refreshed_at = work.session.execute(count).scalar_one(), at
    result = Refresh(segment.id, entered, left, segment.head_count, at)
    work.events.append(
        DomainEvent(
            key=f"{EventType.SEGMENT_REFRESHED}/{segment.id}/{to_millis(at)}",
            type=EventType.SEGMENT_REFRESHED,
            client_id=work.client_id,
            at=at,
            subject=f"segment/{segment.id}",
            data={"name": segment.name, "entered": entered, "left": left, "head_count": segment.head_count},
        )
    )
    return result


def _changes(work: Work, segment: Segment, at: dt.datetime) -> Any:
    """Who enters and who leaves, from one evaluation: both halves read the same common table expression.

    Set differences, because a join's plan hangs on the size of the membership, which the planner guesses wrong after
    every large refresh.
    """
    rule = members(work, segment.rule).cte("rule_holds")
    holding = sa.select(rule.c.id.label("profile_id"))
    known = sa.select(SegmentMember.profile_id).where(
        SegmentMember.client_id == work.client_id, SegmentMember.segment_id == segment.id
    )
    halves = []
    for people, entered in ((sa.except_(holding, known), True), (sa.except_(known, holding), False)):
        found = people.subquery()
        constants = _constants(segment.id, at)
        halves.append(sa.select(constants[0], found.c.profile_id, constants[1], sa.literal(entered).label("entered")))
    return sa.union_all(*halves)


def _constants(segment_id: int, at: dt.datetime) -> tuple[Any, Any]:
    return (
        sa.literal(segment_id, sa.BigInteger).label("segment_id"),
        sa.literal(to_millis(at), sa.BigInteger).label("at"),
    )


def _lock_names(work: Work) -> None:
    """Which segments there are, and which use which, is changed by nobody else until the transaction ends."""
    lock(work.session, f"segments/{work.client_id}")


def _used(rule: Mapping[str, Any]) -> set[str]:
    return {test.name for _, key, test in leaves(parse_rule(rule)) if key == "segment"}


def _one(work: Work, *conditions: Any) -> Segment:
    found = work.session.scalars(sa.select(Segment).where(*conditions)).one_or_none()
    if found is None:
        raise NotFound("there is no such segment", next_step="ask for the list of segments")
    return found


def _active(work: Work, segment_id: int, *, for_update: bool = False) -> Segment:
    query = sa.select(Segment).where(Segment.id == segment_id).execution_options(populate_existing=True)
    work.session.flush()
    found = work.session.scalars(query.with_for_update() if for_update else query).one_or_none()
    if found is None:
        raise NotFound("there is no such segment", next_step="ask for the list of segments")
    if found.state != "active":
        raise Conflict("the segment is archived", next_step="create a new segment with its rule")
    return found


def check_name(text: str, path: str, longest: int = LONGEST_NAME) -> str:
    """A name or title without blanks around it; refuses an empty or too long one."""
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        message = f"a {path} has 1 to {longest} printable characters"
        raise InvalidInput(message, path=(path,), next_step="choose a shorter one" if text else "give one")
    return text
