"""Triggers that change, what happened before them, and two people at one journey."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.audiences.model import Segment
from fairlead.audiences.segments import create_segment, refresh_segment, update_segment
from fairlead.customers.linking import ClaimColumn
from fairlead.customers.model import Profile
from fairlead.errors import Conflict, Refusals
from fairlead.facts.ingest import EventColumns, take_events
from fairlead.journeys.model import Enrolment, Journey, JourneyVersion
from fairlead.journeys.service import (
    activate_journey,
    archive_journey,
    create_journey,
    enrol_profiles,
    pause_journey,
    save_version,
)
from fairlead.journeys.triggers import take_in
from fairlead.storage.types import to_millis
from fairlead.testing.fakes import FakeClock
from fairlead.work import Work
from support.meeting import meet

MANUAL = {"kind": "trigger_manual"}
CART = {"kind": "trigger_event", "settings": {"event": "cart"}}
VIEW = {"kind": "trigger_event", "settings": {"event": "view"}}
EVERYBODY = {"kind": "trigger_segment", "settings": {"segment": "everybody"}}
FEW = {"kind": "trigger_segment", "settings": {"segment": "few"}}
NOBODY = {"none": [{"bucket": {"salt": "", "from": 0, "to": 10_000}}]}


def drawn(trigger: dict[str, Any], **more: Any) -> dict[str, Any]:
    nodes = [{"id": "start", **trigger}, {"id": "end", "kind": "exit"}]
    return {"nodes": nodes, "edges": [{"source": "start", "target": "end"}], **more}


def start(made: Any, trigger: dict[str, Any], **more: Any) -> int:
    """An active journey of its own."""
    with made.runtime.work(made.client) as work:
        return activate_journey(work, create_journey(work, "other", "Other", drawn(trigger, **more)).id).id


def redraw(made: Any, journey: int, trigger: dict[str, Any]) -> None:
    with made.runtime.work(made.client) as work:
        save_version(work, journey, drawn(trigger))


def happen(made: Any, clock: FakeClock, type_: str, *people: int) -> None:
    with made.runtime.work(made.client) as work:
        names = [f"m{person}" for person in people]
        ids = [f"{type_}/{name}/{clock.now.timestamp()}" for name in names]
        at = [to_millis(clock.now)] * len(names)
        columns = EventColumns(ids, [type_] * len(ids), ["app"] * len(ids), at, [ClaimColumn("member", names)])
        take_events(work, "test", columns)


def let_in(made: Any) -> int:
    with made.runtime.work(made.client) as work:
        return take_in(work)


def entered(made: Any, journey: int) -> list[int]:
    """Numbers of the people who are or were on the journey."""
    with made.runtime.reading(made.client) as work:
        found = sa.select(Enrolment.profile_id).where(Enrolment.journey_id == journey)
        return sorted(made.people.index(person) for person in work.session.scalars(found))


def segment(made: Any, name: str, rule: dict[str, Any]) -> None:
    """Give a segment this rule and refresh it."""
    with made.runtime.work(made.client) as work:
        found = work.session.scalars(sa.select(Segment.id).where(Segment.name == name)).one_or_none()
        if found is None:
            found = create_segment(work, name, "", rule).id
        refresh_segment(work, update_segment(work, found, rule=rule).id)


def some(made: Any, *people: int) -> dict[str, Any]:
    """A rule for these people, by an event each of them had."""
    return {"fact": {"type": f"chosen-{'-'.join(map(str, people))}"}}


@pytest.mark.parametrize("paused", [False, True])
def test_events_count_from_when_the_trigger_was_drawn(shop: Callable[..., Any], clock: FakeClock, paused: bool) -> None:
    made = shop(3)
    journey = start(made, MANUAL)
    clock.advance(minutes=1)
    happen(made, clock, "cart", 0)
    for earlier, trigger in ((0, EVERYBODY), (0, CART)):
        clock.advance(minutes=1)
        with made.runtime.work(made.client) as work:
            if paused:
                pause_journey(work, journey)
        redraw(made, journey, trigger)
        with made.runtime.work(made.client) as work:
            if paused:
                activate_journey(work, journey)
            work.session.execute(sa.delete(Enrolment).where(Enrolment.journey_id == journey))
        assert let_in(made) == earlier
    clock.advance(minutes=1)
    happen(made, clock, "cart", 1)
    happen(made, clock, "view", 2)
    assert (let_in(made), let_in(made)) == (1, 0)
    clock.advance(minutes=1)
    redraw(made, journey, VIEW)
    assert let_in(made) == 0
    clock.advance(minutes=1)
    happen(made, clock, "view", 0)
    assert let_in(made) == 1
    assert entered(made, journey) == [0, 1]


def test_a_segment_drawn_later_lets_in_its_members_and_not_its_history(
    shop: Callable[..., Any], clock: FakeClock
) -> None:
    made = shop(3)
    happen(made, clock, "chosen-0", 0)
    happen(made, clock, "chosen-1", 1)
    segment(made, "few", some(made, 0))
    journey = start(made, MANUAL)
    clock.advance(days=1)
    segment(made, "few", some(made, 1))
    redraw(made, journey, FEW)
    assert entered(made, journey) == [1]
    assert let_in(made) == 0
    clock.advance(days=1)
    redraw(made, journey, {**FEW, "title": "Few"})
    segment(made, "few", {"any": [some(made, 0), some(made, 1)]})
    assert (let_in(made), let_in(made)) == (1, 0)
    assert entered(made, journey) == [0, 1]


def test_who_came_back_too_early_and_left_does_not_enter_later(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(1)
    happen(made, clock, "chosen-0", 0)
    segment(made, "few", some(made, 0))
    journey = start(made, FEW, reentry={"policy": "after", "days": 7})
    made.advance()
    assert entered(made, journey) == [0]
    for days, rule in ((1, NOBODY), (4, some(made, 0)), (1, NOBODY)):
        clock.advance(days=days)
        segment(made, "few", rule)
        assert let_in(made) == 0
    clock.advance(days=2)
    assert let_in(made) == 0, "day 8"
    segment(made, "few", some(made, 0))
    assert let_in(made) == 1
    assert entered(made, journey) == [0, 0]


def test_reentry_is_judged_by_when_the_segment_was_entered(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(1)
    happen(made, clock, "chosen-0", 0)
    segment(made, "few", some(made, 0))
    journey = start(made, FEW, reentry={"policy": "after", "days": 7})
    made.advance()
    with made.runtime.work(made.client) as work:
        pause_journey(work, journey)
    for days, rule in ((1, NOBODY), (4, some(made, 0)), (1, NOBODY), (2, NOBODY)):
        clock.advance(days=days)
        segment(made, "few", rule)
    with made.runtime.work(made.client) as work:
        activate_journey(work, journey)
    assert let_in(made) == 0


def test_a_refresh_that_began_before_the_journey_and_ended_after_it_counts(
    shop: Callable[..., Any], clock: FakeClock
) -> None:
    made = shop(2)
    happen(made, clock, "chosen-0", 0)
    segment(made, "few", NOBODY)
    clock.advance(minutes=1)
    began = clock.now
    clock.advance(minutes=1)
    journey = start(made, FEW)
    with made.runtime.work(made.client) as work:
        work.now = began
        found = work.session.scalars(sa.select(Segment.id).where(Segment.name == "few")).one()
        update_segment(work, found, rule=some(made, 0))
        refresh_segment(work, found)
    assert let_in(made) == 1
    assert entered(made, journey) == [0]


@pytest.fixture
def both(shop: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """``both(state, first, second)``: what two calls with a journey's id give that meet at it."""
    made = shop(1)

    def call(state: str, first: Callable[..., Any], second: Callable[..., Any]) -> tuple[Any, Any, str]:
        with made.runtime.work(made.client) as work:
            journey = create_journey(work, "other", "Other", drawn(MANUAL)).id
            if state != "draft":
                activate_journey(work, journey)

        def opened() -> AbstractContextManager[Work]:
            found: AbstractContextManager[Work] = made.runtime.work(made.client)
            return found

        answers = meet(
            made.runtime.database, opened, lambda work: first(work, journey), lambda work: second(work, journey)
        )
        with made.runtime.reading(made.client) as work:
            return *answers, work.session.get_one(Journey, journey).state

    return call


def put_in(work: Work, journey: int) -> int:
    people = work.session.scalars(sa.select(Profile.id)).all()
    return enrol_profiles(work, journey, list(people))


def draw(work: Work, journey: int) -> int:
    return save_version(work, journey, drawn(MANUAL)).number


@pytest.mark.parametrize(
    ("state", "first", "second", "after"),
    [
        ("draft", archive_journey, activate_journey, "archived"),
        ("draft", activate_journey, activate_journey, "active"),
        ("active", archive_journey, pause_journey, "archived"),
        ("active", archive_journey, archive_journey, "archived"),
        ("active", archive_journey, draw, "archived"),
        ("active", archive_journey, put_in, "archived"),
        ("active", pause_journey, put_in, "paused"),
    ],
)
def test_of_two_changes_at_once_the_second_sees_the_first(
    both: Callable[..., Any], state: str, first: Callable[..., Any], second: Callable[..., Any], after: str
) -> None:
    _, refused, left = both(state, first, second)
    assert isinstance(refused, Conflict)
    assert left == after


def test_two_versions_at_once_have_two_numbers(both: Callable[..., Any]) -> None:
    assert both("active", draw, draw) == (2, 3, "active")


def test_nobody_is_let_in_after_the_archive(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(1)
    journey = start(made, CART)
    clock.advance(minutes=1)
    happen(made, clock, "cart", 0)
    _, count = meet(
        made.runtime.database,
        lambda: made.runtime.work(made.client),
        lambda work: archive_journey(work, journey),
        take_in,
    )
    assert count == 0


@pytest.mark.parametrize("settings", [{"minutes": 10**15}, {"hours": 87_601}, {"days": 3651}])
def test_a_wait_has_an_end(shop: Callable[..., Any], settings: dict[str, int]) -> None:
    made = shop(1)
    graph = drawn(MANUAL)
    graph["nodes"].insert(1, {"id": "wait", "kind": "wait", "settings": settings})
    graph["edges"] = [{"source": "start", "target": "wait"}, {"source": "wait", "target": "end"}]
    with made.runtime.work(made.client) as work, pytest.raises(Refusals):
        create_journey(work, "long", "Long", graph)
    with made.runtime.reading(made.client) as work:
        assert len(work.session.scalars(sa.select(JourneyVersion.id)).all()) == 1
