"""Tags: labels on two levels, put on people by hand or by a rule, always a set at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.audiences.checks import check_rule
from fairlead.audiences.compile import members
from fairlead.audiences.model import ProfileTag, Tag
from fairlead.audiences.rules import Rule, dump_rule, parse_rule
from fairlead.audiences.segments import check_name
from fairlead.audiences.sets import delete_selected, insert_selected
from fairlead.customers.model import Profile
from fairlead.errors import Conflict, InvalidInput, LimitReached, NotFound
from fairlead.governance.audit import record
from fairlead.storage.locks import lock
from fairlead.storage.types import to_millis
from fairlead.work import Work

MOST_AT_ONCE = 10_000
BY_RULE = "rule"


def get_tag(work: Work, tag_id: int) -> Tag:
    """The tag; raises ``NotFound``."""
    found = work.session.scalars(sa.select(Tag).where(Tag.id == tag_id)).one_or_none()
    if found is None:
        raise NotFound("there is no such tag", next_step="ask for the list of tags")
    return found


def create_tag(
    work: Work,
    name: str,
    *,
    parent_id: int | None = None,
    rule: Rule | Mapping[str, Any] | None = None,
    note: str = "",
    owner: str = "",
) -> Tag:
    """A new tag, on level 2 when it has a parent. With a rule, :func:`refresh_tag` decides who has it."""
    name = check_name(name, "name")
    lock(work.session, f"tags/{work.client_id}")
    if work.session.scalar(sa.select(Tag.id).where(Tag.name == name)) is not None:
        raise Conflict(f"there is a tag {name!r} already", path=("name",), next_step="choose another name")
    if parent_id is not None and get_tag(work, parent_id).level != 1:
        raise InvalidInput("a tag has two levels only", path=("parent_id",), next_step="choose a parent of level 1")
    tag = Tag(
        name=name,
        level=1 if parent_id is None else 2,
        parent_id=parent_id,
        origin="manual" if rule is None else "rule",
        rule=None if rule is None else dump_rule(check_rule(work, rule).rule),
        note=note,
        owner=owner,
        created_at=work.now,
    )
    work.session.add(tag)
    work.session.flush()
    record(work, "tag.created", "tag", tag.id, after={"name": name, "parent_id": parent_id, "rule": tag.rule})
    return tag


def tag_profiles(
    work: Work,
    tag_id: int,
    profile_ids: Sequence[int] | None = None,
    *,
    rule: Rule | Mapping[str, Any] | None = None,
) -> int:
    """Put the tag on these active profiles, or on all for whom ``rule`` holds now; give how many did not have it."""
    tag = _locked(work, tag_id)
    added = _put_on(work, tag, _people(work, profile_ids, rule), work.actor.actor[:40])
    record(work, "tag.put_on", "tag", tag.id, after={"people": added, "rule": _shown(rule)})
    return added


def untag_profiles(
    work: Work,
    tag_id: int,
    profile_ids: Sequence[int] | None = None,
    *,
    rule: Rule | Mapping[str, Any] | None = None,
) -> int:
    """Take the tag off these active profiles, or off all for whom ``rule`` holds now; give how many had it."""
    tag = _locked(work, tag_id)
    people = _people(work, profile_ids, rule).with_only_columns(Profile.id.label("profile_id"))
    count = delete_selected(work, ProfileTag, ProfileTag.tag_id == tag.id, people=people)
    record(work, "tag.taken_off", "tag", tag.id, after={"people": count, "rule": _shown(rule)})
    return count


def refresh_tag(work: Work, tag_id: int) -> tuple[int, int]:
    """Let the tag's own rule decide again; give how many got it and how many lost it.

    Who got it by hand keeps it. Raise ``Conflict`` for a tag without a rule.
    """
    tag = _locked(work, tag_id)
    if tag.rule is None:
        raise Conflict("the tag has no rule", next_step="put it on people by hand")
    by_rule = (ProfileTag.client_id == work.client_id, ProfileTag.tag_id == tag.id, ProfileTag.source == BY_RULE)
    lost = sa.except_(sa.select(ProfileTag.profile_id).where(*by_rule), members(work, tag.rule))
    taken = delete_selected(work, ProfileTag, *by_rule, people=lost)
    added = _put_on(work, tag, members(work, tag.rule), BY_RULE)
    record(work, "tag.refreshed", "tag", tag.id, after={"added": added, "removed": taken})
    return added, taken


def _locked(work: Work, tag_id: int) -> Tag:
    """The tag; who has it is changed by nobody else until the transaction ends."""
    lock(work.session, f"tag/{tag_id}")
    return get_tag(work, tag_id)


def _people(work: Work, profile_ids: Sequence[int] | None, rule: Rule | Mapping[str, Any] | None) -> sa.Select[int]:
    if (profile_ids is None) is (rule is None):
        raise InvalidInput("give either people or a rule", next_step="leave one of them out")
    if rule is not None:
        return members(work, check_rule(work, rule))
    assert profile_ids is not None
    if len(profile_ids) > MOST_AT_ONCE:
        raise LimitReached(f"at most {MOST_AT_ONCE} people at once", path=("profile_ids",), next_step="use a rule")
    return sa.select(Profile.id).where(
        Profile.client_id == work.client_id, Profile.state == "active", Profile.id.in_(profile_ids)
    )


def _put_on(work: Work, tag: Tag, people: sa.Select[int], source: str) -> int:
    has = sa.select(sa.literal(1)).where(
        ProfileTag.client_id == work.client_id, ProfileTag.profile_id == Profile.id, ProfileTag.tag_id == tag.id
    )
    new = people.where(sa.not_(sa.exists(has.correlate(Profile)))).add_columns(
        sa.literal(tag.id, sa.BigInteger).label("tag_id"),
        sa.literal(to_millis(work.now), sa.BigInteger).label("at"),
        sa.literal(source, sa.String).label("source"),
    )
    return insert_selected(work, ProfileTag, ("profile_id", "tag_id", "at", "source"), new)


def _shown(rule: Rule | Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if rule is None else dump_rule(parse_rule(rule))
