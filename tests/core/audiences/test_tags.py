"""Tags are put on and taken off by sets, by hand or by a rule, and the hand is respected."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.audiences.model import ProfileTag
from fairlead.audiences.tags import create_tag, get_tag, refresh_tag, tag_profiles, untag_profiles
from fairlead.errors import Conflict, InvalidInput, LimitReached, NotFound, Refusals
from support.rows import audit_entries

BUYERS = {"fact": {"type": "buy"}}


def tagged(work: Any, tag_id: int) -> list[int]:
    return sorted(work.session.scalars(sa.select(ProfileTag.profile_id).where(ProfileTag.tag_id == tag_id)))


def test_a_tag_is_put_on_by_hand_once_and_only_on_own_active_people(place: Any, facts: Any) -> None:
    with place.work(client=place.other_id) as work:
        (stranger,) = facts.people(work, 1)
    with place.work() as work:
        one, two = facts.people(work, 2)
        (merged,) = facts.people(work, 1, state="merged")
        tag = create_tag(work, "vip")
        assert tag_profiles(work, tag.id, [one, two, merged, stranger]) == 2
        assert tag_profiles(work, tag.id, [one]) == 0
        assert tagged(work, tag.id) == [one, two]
        assert untag_profiles(work, tag.id, [two, stranger]) == 1
        assert tagged(work, tag.id) == [one]


def test_a_tag_is_put_on_and_taken_off_by_a_rule(place: Any, facts: Any) -> None:
    with place.reading() as work:
        people = facts.people(work, 3)
        for profile in people[:2]:
            facts.event(work, profile, "buy")
        tag = create_tag(work, "buyer")
        assert tag_profiles(work, tag.id, rule=BUYERS) == 2
        assert tag_profiles(work, tag.id, rule={"tag": {"name": "buyer"}}) == 0
        facts.event(work, people[0], "refund")
        assert untag_profiles(work, tag.id, rule={"fact": {"type": "refund"}}) == 1
        assert tagged(work, tag.id) == people[1:2]


def test_a_rule_tag_follows_its_rule_and_leaves_the_hand_alone(place: Any, facts: Any) -> None:
    with place.reading() as work:
        by_rule, by_hand, later = facts.people(work, 3)
        facts.event(work, by_rule, "buy")
        tag = create_tag(work, "buyer", rule=BUYERS)
        tag_profiles(work, tag.id, [by_hand])
        assert refresh_tag(work, tag.id) == (1, 0)
        assert tagged(work, tag.id) == [by_rule, by_hand]
        facts.event(work, later, "buy")
        work.now = work.now.replace(year=2025)
        assert refresh_tag(work, tag.id) == (0, 1)
        assert tagged(work, tag.id) == [by_hand]
        entry = audit_entries(work)[0]
        assert (entry.action, entry.object_id) == ("tag.refreshed", str(tag.id))
        assert entry.after == {"added": 0, "removed": 1}
        work.now = work.now.replace(year=2026)
        assert refresh_tag(work, tag.id) == (2, 0)
        assert tagged(work, tag.id) == [by_rule, by_hand, later]


def test_tags_have_two_levels_and_names_of_their_own(place: Any) -> None:
    with place.reading() as work:
        top = create_tag(work, "value", note="who pays", owner="ops")
        below = create_tag(work, "high value", parent_id=top.id)
        assert (top.level, below.level, below.parent_id) == (1, 2, top.id)
        assert get_tag(work, top.id).note == "who pays"
        with pytest.raises(InvalidInput) as caught:
            create_tag(work, "third", parent_id=below.id)
        assert caught.value.path == ("parent_id",)
        with pytest.raises(Conflict):
            create_tag(work, "value")
        with pytest.raises(Refusals):
            create_tag(work, "x", rule={"fact": {"type": "ghost"}})
        with pytest.raises(Conflict):
            refresh_tag(work, top.id)


def test_either_people_or_a_rule_and_not_too_many(place: Any) -> None:
    with place.reading() as work:
        tag = create_tag(work, "vip")
        for people, rule in ((None, None), ([1], BUYERS)):
            with pytest.raises(InvalidInput):
                tag_profiles(work, tag.id, people, rule=rule)
        with pytest.raises(LimitReached):
            tag_profiles(work, tag.id, range(10_001))
        with pytest.raises(NotFound):
            tag_profiles(work, tag.id + 10**6, [1])
