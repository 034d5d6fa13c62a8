"""Segments follow their rule: entrants, leavers, history, event, preview and the reasons for one person."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.audiences.model import Segment, SegmentChange, SegmentMember
from fairlead.audiences.segments import (
    archive_segment,
    create_segment,
    explain_membership,
    find_segment,
    get_segment,
    list_members,
    preview_segment,
    refresh_segment,
    update_segment,
)
from fairlead.customers.model import Profile
from fairlead.errors import Conflict, InvalidInput, NotFound
from fairlead.governance.permissions import Principal
from fairlead.plugins.events import EventType
from support.rows import audit_entries, segment_history

BUYERS = {"fact": {"type": "buy", "window": {"within_days": 30}}}
Counter = Callable[[], AbstractContextManager[list[str]]]


def member_ids(work: Any, segment_id: int) -> list[int]:
    return [row.profile_id for row in list_members(work, segment_id, first=1000)]


def test_a_refresh_enters_and_leaves_and_remembers(place: Any, facts: Any) -> None:
    with place.work() as work:
        stays, leaves, comes, dies, _never = facts.people(work, 5)
        for profile in (stays, leaves, dies):
            facts.event(work, profile, "buy")
        segment = create_segment(work, "buyers", "买家", BUYERS)
        first = refresh_segment(work, segment.id)
        assert (first.entered, first.left, first.head_count) == (3, 0, 3)
        assert member_ids(work, segment.id) == [stays, leaves, dies]
    place.move(30 * (place.now[0] - place.now[0].replace(hour=3)) * 24)
    with place.work() as work:
        for profile in (stays, comes):
            facts.event(work, profile, "buy")
        work.session.execute(sa.update(Profile).where(Profile.id == dies).values(state="merged"))
        second = refresh_segment(work, segment.id)
        assert (second.entered, second.left, second.head_count) == (1, 2, 2)
        assert member_ids(work, segment.id) == [stays, comes]
        kept = find_segment(work, "buyers")
        assert (kept.head_count, kept.refreshed_at) == (2, place.now[0])
        since = {row.profile_id: row.since for row in list_members(work, segment.id)}
        assert since == {stays: first.at, comes: second.at}
        assert segment_history(work, segment.id) == [
            (dies, False),
            (comes, True),
            (leaves, False),
            (dies, True),
            (leaves, True),
            (stays, True),
        ]
        again = refresh_segment(work, segment.id)
        assert (again.entered, again.left, again.head_count) == (0, 0, 2)
        assert again.at > second.at


def test_a_person_may_come_and_go_within_one_millisecond(place: Any, facts: Any) -> None:
    with place.work() as work:
        (one,) = facts.people(work, 1)
        facts.event(work, one, "buy")
        segment = create_segment(work, "buyers", "", BUYERS)
        for expected in (1, 0, 1):
            rule = BUYERS if expected else {"none": [BUYERS]}
            update_segment(work, segment.id, rule=rule)
            assert refresh_segment(work, segment.id).head_count == expected
        assert [entered for _, entered in segment_history(work, segment.id)] == [True, False, True]


def test_a_refresh_takes_as_many_statements_for_many_as_for_few(
    place: Any, facts: Any, count_statements: Counter
) -> None:
    counts = []
    for people in (1, 200):
        with place.work() as work:
            for profile in facts.people(work, people):
                facts.event(work, profile, "buy")
            segment = create_segment(work, f"buyers {people}", "", BUYERS)
            with count_statements() as statements:
                refreshed = refresh_segment(work, segment.id)
            counts.append(len(statements))
            assert refreshed.entered >= people
    assert counts[0] == counts[1] <= 12


def test_the_rule_is_evaluated_once_per_refresh(place: Any, facts: Any, count_statements: Counter) -> None:
    with place.work() as work:
        facts.event(work, None, "buy")
        segment = create_segment(work, "buyers", "", BUYERS)
        with count_statements() as statements:
            refresh_segment(work, segment.id)
    assert sum(text.count("FROM event") for text in statements) == 1


def test_the_refresh_is_told_with_counts_and_without_people(place: Any, facts: Any) -> None:
    with place.reading() as work:
        (one,) = facts.people(work, 1)
        facts.event(work, one, "buy")
        segment = create_segment(work, "buyers", "", BUYERS)
        refresh_segment(work, segment.id)
        refresh_segment(work, segment.id)
    first, second = work.events
    assert first.type == EventType.SEGMENT_REFRESHED
    assert first.client_id == place.client_id
    assert first.data == {"name": "buyers", "entered": 1, "left": 0, "head_count": 1}
    assert first.key != second.key


def test_another_clients_members_are_untouched(place: Any, facts: Any) -> None:
    with place.work(client=place.other_id) as work:
        (theirs,) = facts.people(work, 1)
        facts.event(work, theirs, "buy")
        other = create_segment(work, "buyers", "", BUYERS)
        refresh_segment(work, other.id)
    with place.work() as work:
        facts.event(work, None, "buy")
        mine = create_segment(work, "buyers", "", BUYERS)
        assert refresh_segment(work, mine.id).head_count == 0
        with pytest.raises(NotFound):
            refresh_segment(work, other.id)
        with pytest.raises(NotFound):
            get_segment(work, other.id)
        assert work.session.scalars(sa.select(Segment.id)).all() == [mine.id]
    with place.reading(client=place.other_id) as work:
        assert member_ids(work, other.id) == [theirs]
        assert work.session.scalars(sa.select(SegmentChange.client_id)).all() == [place.other_id]
        assert work.session.scalars(sa.select(SegmentMember.client_id)).all() == [place.other_id]


def test_a_preview_counts_and_samples_and_hides_the_few(place: Any, facts: Any) -> None:
    blind = Principal(1, 1, 1, "a", at={place.client_id: frozenset({"profiles:reveal", "segments:write"})})
    with place.work() as work:
        facts.event(work, None, "buy")
        people = facts.people(work, 12)
        for profile in people[:9]:
            facts.event(work, profile, "buy")
        seen = preview_segment(work, BUYERS, sample=3)
        assert (seen.head_count, seen.exact, seen.sample) == (9, True, tuple(people[:3]))
        nobody = preview_segment(work, {"all": [BUYERS, {"none": [BUYERS]}]})
        assert (nobody.head_count, nobody.sample) == (0, ())
        assert preview_segment(work, BUYERS, sample=0).sample == ()
        with pytest.raises(InvalidInput):
            preview_segment(work, BUYERS, sample=101)
    with place.work(blind) as work:
        for rule in (BUYERS, {"all": [BUYERS, {"none": [BUYERS]}]}):
            hidden = preview_segment(work, rule)
            assert (hidden.head_count, hidden.exact, hidden.sample) == (10, False, ())
        facts.event(work, people[9], "buy")
        assert preview_segment(work, BUYERS).head_count == 10
        assert preview_segment(work, BUYERS).exact


def test_membership_is_explained_with_the_values_seen(place: Any, facts: Any, count_statements: Counter) -> None:
    rule = {
        "all": [
            {"any": [{"attribute": {"name": "age", "op": "gte", "value": 18}}, BUYERS]},
            {"fact": {"type": "buy", "aggregate": {"function": "sum", "op": "gte", "value": 500}}},
        ]
    }
    with place.work() as work:
        one, gone = facts.people(work, 2)
        facts.event(work, one, "buy", amount=300)
        facts.event(work, one, "buy", amount=150)
        segment = create_segment(work, "spenders", "", rule)
        with count_statements() as statements:
            verdict = explain_membership(work, segment.id, one)
        assert len(statements) <= 12
        either, spent = verdict.parts
        assert (verdict.matched, either.matched, spent.matched) == (False, True, False)
        assert [part.matched for part in either.parts] == [False, True]
        assert either.parts[0].seen == {"age": None}
        assert (spent.seen["count"], spent.seen["sum"]) == (2, 450)
        assert spent.asked == rule["all"][1]["fact"]
        assert [part.key for part in verdict.walk()] == ["all", "any", "attribute", "fact", "fact"]
        work.session.execute(sa.update(Profile).where(Profile.id == gone).values(state="erased"))
        with pytest.raises(NotFound):
            explain_membership(work, segment.id, gone)


def test_a_stored_rule_runs_whatever_its_numbers_became_in_the_database(place: Any, facts: Any) -> None:
    rule = {"attribute": {"name": "k", "op": "in", "value": [1e299, 0.1, 2.0, 5]}}
    with place.work() as work:
        fits = [facts.people(work, 1, attributes={"k": value})[0] for value in (1e299, 0.1, 2, 5.0)]
        facts.people(work, 1, attributes={"k": 1e298})
        create_segment(work, "numbers", "", rule)
    with place.work() as work:
        segment = find_segment(work, "numbers")
        assert refresh_segment(work, segment.id).entered == 4
        assert member_ids(work, segment.id) == fits


def test_names_are_kept_apart_and_changes_are_audited(place: Any, facts: Any) -> None:
    with place.reading() as work:
        facts.event(work, None, "buy")
        segment = create_segment(work, " buyers ", "", BUYERS)
        assert (segment.name, segment.title) == ("buyers", "buyers")
        with pytest.raises(Conflict) as caught:
            create_segment(work, "buyers", "", BUYERS)
        assert caught.value.path == ("name",)
        for name in ("", " ", "x" * 81, "a\nb"):
            with pytest.raises(InvalidInput):
                create_segment(work, name, "", BUYERS)
        update_segment(work, segment.id, title="买家")
        assert get_segment(work, segment.id).title == "买家"
        archive_segment(work, segment.id)
        for change in (refresh_segment, archive_segment, update_segment):
            with pytest.raises(Conflict):
                change(work, segment.id)
        assert work.session.scalars(sa.select(Segment.state)).all() == ["archived"]
        entries = [entry.action for entry in audit_entries(work, object_type="segment")]
        assert entries == ["segment.archived", "segment.updated", "segment.created"]
