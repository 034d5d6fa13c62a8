"""Any merges and splits, in any order: what was there comes back, and no withdrawal is ever lost on the way."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.audiences.model import ProfileTag, Segment, SegmentChange, SegmentMember
from fairlead.audiences.segments import create_segment, refresh_segment
from fairlead.audiences.tags import create_tag, tag_profiles
from fairlead.customers.consent import grant, withdraw
from fairlead.customers.linking import ClaimColumn
from fairlead.customers.merging import merge_profiles, split_profile
from fairlead.customers.model import Consent, ConsentRecord, Identity, Profile, ProfileMerge
from fairlead.customers.profiles import fill_profiles
from fairlead.facts.ingest import EventColumns, take_events
from fairlead.facts.model import Event
from fairlead.work import Work
from support.invariants import broken

PEOPLE = 4
CHANNELS = ("email", "sms", "*")
numbers = st.integers(0, PEOPLE - 1)
words = st.tuples(st.just("say"), numbers, st.sampled_from(CHANNELS), st.booleans())
merges = st.tuples(st.just("merge"), numbers, numbers, st.none())
splits = st.tuples(st.just("split"), st.integers(0, 9), st.none(), st.none())
_case = itertools.count()


def born(desk: Any, said: Sequence[Any]) -> tuple[list[int], list[int]]:
    """People with an identity, fields, attributes and tags of their own, who said some things; and the tags."""
    case = next(_case)
    with desk.runtime.work(desk.client) as work:
        people = desk.link(work, [{"member": f"c{case}-{at}"} for at in range(PEOPLE)]).profile_ids.tolist()
        fill_profiles(
            work,
            np.array(people[1:]),
            {
                "name": [None, "王小明", "李雷"],
                "gender": ["female", None, "male"],
                "attributes": ['{"a": 1}', '{"a": 2, "b": 2}', '{"b": 3, "c": 3}'],
            },
        )
        tags = [create_tag(work, f"c{case}-{name}").id for name in ("vip", "risk")]
        tag_profiles(work, tags[0], profile_ids=people[1:3])
        tag_profiles(work, tags[1], profile_ids=people[2:])
        work.session.get_one(Profile, people[3]).state = "restricted"
    for _, person, channel, agreed in said:
        say(desk, people[person], channel, agreed)
    return people, tags


def say(desk: Any, person: int, channel: str, agreed: bool) -> None:
    with desk.runtime.work(desk.client) as work:
        act = grant if agreed else withdraw
        act(work, person, "marketing", channel, source="test", evidence={})
    desk.runtime.clock.advance(seconds=1)


def snapshot(work: Work, people: Sequence[int]) -> dict[str, Any]:
    """Everything of these people."""
    profiles = {
        row.id: (
            row.state,
            row.merged_into,
            row.gender,
            row.attributes,
            row.name and work.vault.open(work.client_id, "profile.name", row.name),
        )
        for row in work.session.scalars(sa.select(Profile).where(Profile.id.in_(people)))
    }

    def rows(entity: Any, *columns: Any) -> list[Any]:
        query = sa.select(entity.profile_id, *columns).where(entity.profile_id.in_(people))
        return sorted(tuple(row) for row in work.session.execute(query))

    return {
        "profiles": profiles,
        "identities": rows(Identity, Identity.id),
        "tags": rows(ProfileTag, ProfileTag.tag_id, ProfileTag.at, ProfileTag.source),
        "consents": rows(Consent, Consent.channel, Consent.state, Consent.at),
        "proofs": rows(ConsentRecord, ConsentRecord.id, ConsentRecord.channel, ConsentRecord.state),
    }


def living(work: Work, people: Sequence[int]) -> list[int]:
    query = sa.select(Profile.id).where(Profile.id.in_(people), Profile.merged_into.is_(None)).order_by(Profile.id)
    return list(work.session.scalars(query))


def undoable(work: Work, people: Sequence[int]) -> list[int]:
    """Merges that can be undone now."""
    query = (
        sa.select(ProfileMerge.id)
        .join(Profile, Profile.id == ProfileMerge.survivor_id)
        .where(ProfileMerge.survivor_id.in_(people), ProfileMerge.undone_at.is_(None), Profile.merged_into.is_(None))
        .order_by(ProfileMerge.id)
    )
    return list(work.session.scalars(query))


def act(desk: Any, people: Sequence[int], step: Any) -> None:
    """One step, if it makes sense now."""
    what, one, other, agreed = step
    if what == "say":
        say(desk, people[one], other, agreed)
        return
    with desk.runtime.work(desk.client) as work:
        if what == "merge":
            alive = living(work, people)
            pair = (alive[one % len(alive)], alive[other % len(alive)])
            if pair[0] != pair[1]:
                merge_profiles(work, [pair], rule="test", evidence=[{}])
        elif open_ := undoable(work, people):
            split_profile(work, open_[one % len(open_)])
    desk.runtime.clock.advance(seconds=1)


def part_all(desk: Any, people: Sequence[int], order: Sequence[int]) -> None:
    for pick in itertools.cycle(order):
        with desk.runtime.work(desk.client) as work:
            open_ = undoable(work, people)
            if not open_:
                return
            split_profile(work, open_[pick % len(open_)])


quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(said=st.lists(words, max_size=6), steps=st.lists(merges | splits, max_size=8), order=st.permutations(range(5)))
def test_splitting_everything_brings_back_the_start(
    desk: Any, said: Sequence[Any], steps: Sequence[Any], order: Sequence[int]
) -> None:
    people, _ = born(desk, said)
    with desk.runtime.reading(desk.client) as work:
        before = snapshot(work, people)
    for step in steps:
        act(desk, people, step)
    part_all(desk, people, order)
    with desk.runtime.reading(desk.client) as work:
        assert snapshot(work, people) == before


@quick
@given(steps=st.lists(words | merges | splits, max_size=14), order=st.permutations(range(5)))
def test_nobody_is_held_to_agree_after_a_withdrawal(desk: Any, steps: Sequence[Any], order: Sequence[int]) -> None:
    """A model that knows no merges' insides: per origin and channel, when each last withdrew and agreed."""
    people, _ = born(desk, [])
    told: list[tuple[int, int, str, bool]] = []
    for at, step in enumerate(steps):
        act(desk, people, step)
        if step[0] == "say":
            told.append((at, people[step[1]], step[2], step[3]))
        with desk.runtime.reading(desk.client) as work:
            held = {
                (profile_id, channel): state
                for profile_id, channel, state in work.session.execute(
                    sa.select(Consent.profile_id, Consent.channel, Consent.state).where(Consent.profile_id.in_(people))
                )
            }
            goes_on = {row.id: row.merged_into or row.id for row in work.session.scalars(sa.select(Profile))}
        for person in people:
            end = person
            while goes_on[end] != end:
                end = goes_on[end]
            for channel in ("email", "sms"):
                own = [(when, agreed) for when, who, where, agreed in told if who == person and where in (channel, "*")]
                everything = [(when, agreed) for when, _, where, agreed in told if where in (channel, "*")]
                if not own or own[-1][1]:
                    continue
                # This person's own last word is no; nobody agreed to this channel since, so it must be no.
                if any(agreed for when, agreed in everything if when > own[-1][0]):
                    continue
                state = held.get((end, channel), held.get((end, "*"), "none"))
                assert state != "granted", (person, channel, steps[: at + 1])
    part_all(desk, people, order)
    with desk.runtime.reading(desk.client) as work:
        assert living(work, people) == people
    assert broken(desk.runtime.database.engine) == {}


def test_a_withdrawal_of_either_side_outlives_a_newer_agreement_of_the_other(desk: Any) -> None:
    (one, two, three, _), _ = born(desk, [])
    say(desk, two, "*", False)
    say(desk, one, "email", True)
    say(desk, three, "*", True)
    with desk.runtime.work(desk.client) as work:
        merge_profiles(work, [(one, two), (one, three)], rule="test", evidence=[{}, {}])
    desk.runtime.clock.advance(seconds=1)

    def held(person: int) -> dict[str, str]:
        with desk.runtime.reading(desk.client) as work:
            query = sa.select(Consent.channel, Consent.state).where(Consent.profile_id == person)
            return dict(row for row in work.session.execute(query))

    assert held(one) == {"email": "withdrawn", "*": "withdrawn"}
    say(desk, one, "email", True)
    assert held(one) == {"email": "granted", "*": "withdrawn"}
    say(desk, two, "*", True)  # said to the absorbed one: a link in an old mail
    assert held(one)["*"] == "granted"
    assert held(two) == {}


def test_the_one_undone_first_takes_only_its_own_away(desk: Any) -> None:
    (one, two, three, four), tags = born(desk, [])
    say(desk, two, "*", True)
    with desk.runtime.work(desk.client) as work:
        first, _, third = merge_profiles(
            work, [(one, two), (one, three), (one, four)], rule="test", evidence=[{}, {}, {}]
        )
        assert work.session.get_one(Profile, one).state == "restricted"
        assert work.session.get_one(Profile, one).attributes == {"a": 1, "b": 2, "c": 3}
    with desk.runtime.work(desk.client) as work:
        split_profile(work, first.id)
    with desk.runtime.reading(desk.client) as work:
        survivor = work.session.get_one(Profile, one)
        assert (survivor.state, survivor.gender, survivor.attributes) == (
            "restricted",
            "male",
            {"a": 2, "b": 2, "c": 3},
        )
        assert work.session.scalars(sa.select(Consent.profile_id)).all() == [two]
        tagged = sa.select(ProfileTag.tag_id).where(ProfileTag.profile_id == one)
        assert sorted(work.session.scalars(tagged)) == sorted(tags)
    with desk.runtime.work(desk.client) as work:
        split_profile(work, third.id)
        assert work.session.get_one(Profile, one).state == "active"
        assert work.session.get_one(Profile, four).state == "restricted"


def test_a_name_goes_back_after_the_keys_were_changed(desk: Any, keyring: Any) -> None:
    (one, _, three, _), _ = born(desk, [])
    with desk.runtime.work(desk.client) as work:
        (merge,) = merge_profiles(work, [(one, three)], rule="test", evidence=[{}])
    with desk.runtime.work(desk.client) as work:
        survivor = work.session.get_one(Profile, one)
        opened = work.vault.open(work.client_id, "profile.name", survivor.name)
        survivor.name = work.vault.seal(work.client_id, "profile.name", opened)
    with desk.runtime.work(desk.client) as work:
        split_profile(work, merge.id)
        assert work.session.get_one(Profile, one).name is None


def test_who_is_absorbed_leaves_the_segments_and_their_counts(desk: Any) -> None:
    (one, two, *_), _ = born(desk, [])
    with desk.runtime.work(desk.client) as work:
        segment = create_segment(work, "all", "All", {"identity": {"kind": "member"}}).id
        refresh_segment(work, segment)
    with desk.runtime.work(desk.client) as work:
        merge_profiles(work, [(one, two)], rule="test", evidence=[{}])
    with desk.runtime.reading(desk.client) as work:
        members = set(work.session.scalars(sa.select(SegmentMember.profile_id)))
        assert work.session.get_one(Segment, segment).head_count == len(members)
        assert two not in members
        story = sa.select(SegmentChange.entered).where(SegmentChange.profile_id == two).order_by(SegmentChange.at)
        assert work.session.scalars(story).all() == [True, False]
    with desk.runtime.work(desk.client) as work:
        assert (lambda done: (done.entered, done.left))(refresh_segment(work, segment)) == (0, 0)


def test_merging_many_costs_as_many_statements_as_merging_two(desk: Any) -> None:
    def cost(pairs: int, name: str) -> int:
        with desk.runtime.work(desk.client) as work:
            people = desk.link(work, [{"member": f"{name}{at}"} for at in range(2 * pairs)]).profile_ids.tolist()
        for person in people[::2]:
            say(desk, person, "email", False)
        seen: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        engine = desk.runtime.database.engine
        with desk.runtime.work(desk.client) as work:
            work.session.connection()
            sa.event.listen(engine, "before_cursor_execute", note)
            try:
                couples = list(zip(people[::2], people[1::2], strict=True))
                merge_profiles(work, couples, rule="test", evidence=[{}] * pairs)
            finally:
                sa.event.remove(engine, "before_cursor_execute", note)
        return len(seen)

    assert cost(40, "many") <= cost(2, "few")


def at_once(first: Callable[[threading.Event], None], second: Callable[[], None]) -> None:
    """Run ``second`` in another thread while ``first`` holds its transaction open, which it says by the event."""
    begun, failures = threading.Event(), []

    def follow() -> None:
        begun.wait(30)
        try:
            second()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    first(begun)
    thread.join(60)
    assert failures == []


def test_a_withdrawal_on_its_way_is_not_lost_to_a_merge(desk: Any, make_desk: Any) -> None:
    (one, two, *_), _ = born(desk, [])
    say(desk, one, "email", True)
    say(desk, two, "email", True)
    other = make_desk()

    def withdrawing(begun: threading.Event) -> None:
        with desk.runtime.work(desk.client) as work:
            withdraw(work, two, "marketing", "email", source="test", evidence={})
            begun.set()
            time.sleep(0.3)

    def merging() -> None:
        with other.work(desk.client) as work:
            merge_profiles(work, [(one, two)], rule="test", evidence=[{}])

    at_once(withdrawing, merging)
    with desk.runtime.reading(desk.client) as work:
        held = sa.select(Consent.profile_id, Consent.state).where(Consent.profile_id.in_((one, two)))
        assert work.session.execute(held).all() == [(one, "withdrawn")]


def test_a_fact_on_its_way_is_not_left_behind_by_a_split(desk: Any, make_desk: Any) -> None:
    (one, two, *_), _ = born(desk, [])
    other = make_desk()
    with desk.runtime.work(desk.client) as work:
        (merge,) = merge_profiles(work, [(one, two)], rule="test", evidence=[{}])
        (value,) = work.session.scalars(sa.select(Identity.value).where(Identity.id.in_(merge.moved["identities"])))
        member = work.vault.open(work.client_id, "identity.value", value)

    def storing(begun: threading.Event) -> None:
        with desk.runtime.work(desk.client) as work:
            claims = [ClaimColumn("member", [member])]
            take_events(work, "test", EventColumns(["late"], ["view"], ["app"], [1_700_000_000_000], claims))
            begun.set()
            time.sleep(0.3)

    def splitting() -> None:
        with other.work(desk.client) as work:
            split_profile(work, merge.id)

    at_once(storing, splitting)
    with desk.runtime.reading(desk.client) as work:
        assert work.session.scalars(sa.select(Event.profile_id)).all() == [two]
    assert broken(desk.runtime.database.engine) == {}
