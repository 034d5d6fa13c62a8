"""How people move: entering again or not, loops, paths that meet, nodes of plugins, broken nodes, pauses."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from fairlead.audiences.model import Segment
from fairlead.audiences.segments import refresh_segment
from fairlead.customers.linking import ClaimColumn, link
from fairlead.facts.ingest import EventColumns, take_events
from fairlead.journeys import batch
from fairlead.journeys.advance import advance
from fairlead.journeys.model import Enrolment, Journey, Step
from fairlead.journeys.nodes import Wait, WaitSettings
from fairlead.journeys.service import (
    activate_journey,
    archive_journey,
    create_journey,
    enrol_profiles,
    pause_journey,
    save_version,
)  # fmt: skip
from fairlead.journeys.triggers import take_in
from fairlead.messaging.model import Message
from fairlead.plugins.contracts.journey_node import NodeBatch, NodeOutcome, SendRequest
from fairlead.plugins.hookspecs import hookimpl
from fairlead.plugins.manifest import Kind, Manifest, NoSettings, Title
from fairlead.storage.types import to_millis
from fairlead.testing.fakes import FakeClock
from support.invariants import broken


def graph(
    trigger: dict[str, Any], *nodes: dict[str, Any], edges: list[tuple[str, str, str]] | None = None, **more: Any
) -> Any:
    """A graph whose nodes follow one another unless ``edges`` (source, outlet, target) say otherwise."""
    all_nodes = [{"id": "start", **trigger}, *nodes, {"id": "end", "kind": "exit"}]
    names = [node["id"] for node in all_nodes]
    plain = [(one, "next", two) for one, two in pairwise(names)]
    drawn = [{"source": one, "outlet": outlet, "target": two} for one, outlet, two in edges or plain]
    return {"nodes": all_nodes, "edges": drawn, **more}


MANUAL = {"kind": "trigger_manual"}
HOUR = {"id": "wait", "kind": "wait", "settings": {"hours": 1}}


class Node:
    """A node of a plugin, decided by arrays."""

    def __init__(
        self,
        name: str,
        run: Callable[[NodeBatch, Any], NodeOutcome],
        outlets: tuple[str, ...] = ("next",),
        settings: type[BaseModel] = NoSettings,
    ) -> None:
        title = Title(name, name)
        self.manifest = Manifest(name, Kind.JOURNEY_NODE, "1.0", title, title, settings=settings)
        self._run, self._outlets = run, outlets

    @hookimpl
    def fairlead_register_journey_nodes(self, register: Callable[[Any], None]) -> None:
        """Register itself."""
        register(self)

    def outlets(self, settings: Any) -> tuple[str, ...]:
        return self._outlets

    def run(self, batch: NodeBatch, settings: Any) -> NodeOutcome:
        return self._run(batch, settings)


def start(made: Any, drawn: Any, name: str = "other") -> int:
    """Create and activate a journey; the answer is its id."""
    with made.runtime.work(made.client) as work:
        return activate_journey(work, create_journey(work, name, name, drawn).id).id


def enter(made: Any, journey: int, people: list[int] | None = None) -> int:
    with made.runtime.work(made.client) as work:
        return enrol_profiles(work, journey, made.people if people is None else people)


def log(made: Any, journey: int) -> list[tuple[int, int, int, str]]:
    """Visit, node, and outlet of every step, by person."""
    with made.runtime.reading(made.client) as work:
        rows = work.session.execute(
            sa.select(Enrolment.profile_id, Step.visit, Step.node, Step.outlet)
            .join(Step, Step.enrolment_id == Enrolment.id)
            .where(Enrolment.journey_id == journey)
            .order_by(Enrolment.profile_id, Enrolment.id, Step.visit)
        )
        return [tuple(row) for row in rows]


def states(made: Any, journey: int) -> Counter[str]:
    with made.runtime.reading(made.client) as work:
        return Counter(work.session.scalars(sa.select(Enrolment.state).where(Enrolment.journey_id == journey)))


def happen(made: Any, person: int, source_id: str, at: dt.datetime) -> None:
    """An event ``cart`` of one person."""
    with made.runtime.work(made.client) as work:
        claims = [ClaimColumn("member", [f"m{made.people.index(person)}"])]
        take_events(work, "test", EventColumns([source_id], ["cart"], ["app"], [to_millis(at)], claims))


def let_in(made: Any) -> int:
    with made.runtime.work(made.client) as work:
        return take_in(work)


@pytest.mark.parametrize(
    ("policy", "entries"), [("once", [1, 0, 0, 0]), ("always", [1, 0, 1, 1]), ("after", [1, 0, 0, 1])]
)
def test_entering_again(shop: Callable[..., Any], clock: FakeClock, policy: str, entries: list[int]) -> None:
    made = shop(1)
    reentry = {"policy": policy, "days": 2 if policy == "after" else 0}
    journey = start(made, graph(MANUAL, HOUR, reentry=reentry))
    seen = []
    for hours in (0, 0, 2, 48):
        clock.advance(hours=hours)
        made.advance()
        seen.append(enter(made, journey))
        made.advance()
    assert seen == entries
    assert broken(made.runtime.database.engine) == {}


def test_events_let_people_in_once_each(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(3)
    trigger = {"kind": "trigger_event", "settings": {"event": "cart"}}
    journey = start(made, graph(trigger, HOUR, reentry={"policy": "always"}))
    one, two, _ = made.people
    happen(made, one, "before", clock.now - dt.timedelta(minutes=1))
    assert let_in(made) == 0
    clock.advance(minutes=1)
    happen(made, one, "e1", clock.now)
    happen(made, two, "e2", clock.now)
    assert (let_in(made), let_in(made)) == (2, 0)
    clock.advance(minutes=1)
    happen(made, one, "on the way", clock.now)
    assert let_in(made) == 0
    made.advance()
    clock.advance(hours=1)
    made.advance()
    assert states(made, journey) == {"finished": 2}
    assert let_in(made) == 0, "what happened on the way does not bring anybody in again"
    clock.advance(minutes=1)
    happen(made, one, "e3", clock.now)
    assert (let_in(made), let_in(made)) == (1, 0)
    assert broken(made.runtime.database.engine) == {}


def test_who_comes_into_the_segment_later_enters(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(2)
    clock.advance(hours=1)
    with made.runtime.work(made.client) as work:
        link(work, [ClaimColumn("member", ["late"])], "test")
        refresh_segment(work, work.session.scalars(sa.select(Segment.id)).one())
    assert (let_in(made), let_in(made)) == (1, 0)
    with made.runtime.reading(made.client) as work:
        assert work.session.scalar(sa.select(sa.func.count()).select_from(Enrolment)) == 3


def test_a_loop_with_a_wait_ends_at_the_limit(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(2)
    rule = {"attribute": {"name": "done", "op": "eq", "value": True}}
    drawn = graph(
        MANUAL, HOUR, {"id": "done", "kind": "condition", "settings": {"rule": rule}},
        edges=[("start", "next", "wait"), ("wait", "next", "done"), ("done", "no", "wait"), ("done", "yes", "end")],
        visit_limit=8,
    )  # fmt: skip
    journey = start(made, drawn)
    enter(made, journey)
    for _ in range(10):
        made.advance()
        clock.advance(hours=1)
    steps = log(made, journey)
    assert [visit for person, visit, _, _ in steps if person == made.people[0]] == list(range(8))
    assert states(made, journey) == {"exited": 2}
    assert broken(made.runtime.database.engine) == {}


def test_paths_that_meet_again_send_once(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(6)
    rule = {"identity": {"kind": "email"}}
    send = {"kind": "send", "settings": {"account": "desk", "template": "hello"}}
    drawn = graph(
        MANUAL, {"id": "mail", "kind": "condition", "settings": {"rule": rule}}, HOUR, {"id": "both", **send},
        edges=[
            ("start", "next", "mail"), ("mail", "yes", "both"), ("mail", "no", "wait"), ("wait", "next", "both"),
            ("both", "next", "end"),
        ],
    )  # fmt: skip
    journey = start(made, drawn)
    enter(made, journey)
    made.advance()
    clock.advance(hours=1)
    made.advance()
    assert states(made, journey) == {"finished": 6}
    with made.runtime.reading(made.client) as work:
        sent = work.session.scalars(sa.select(Message.profile_id).where(Message.node == "both")).all()
    assert sorted(sent) == made.people
    assert broken(made.runtime.database.engine) == {}


def test_a_node_of_arrays_moves_people_as_the_one_of_sql(shop: Callable[..., Any], clock: FakeClock) -> None:
    twin = Node("slow_wait", lambda batch, settings: Wait().run(batch, settings), settings=WaitSettings)
    made = shop(7, plugins=(twin,))
    own = start(made, graph(MANUAL, HOUR), "own")
    other = start(made, graph(MANUAL, {**HOUR, "kind": "slow_wait"}), "twin")
    for journey in (own, other):
        enter(made, journey, made.people[:4])
    for minutes in (0, 30, 30, 1):
        clock.advance(minutes=minutes)
        made.advance()
        if minutes == 30:
            for journey in (own, other):
                enter(made, journey)
        assert log(made, own) == log(made, other)
        assert states(made, own) == states(made, other)
    clock.advance(hours=2)
    made.advance()
    assert states(made, other) == {"finished": 7}
    assert broken(made.runtime.database.engine) == {}


def test_a_plugins_node_branches_notes_and_sends_once(shop: Callable[..., Any], clock: FakeClock) -> None:
    def halve(batch: NodeBatch, _: Any) -> NodeOutcome:
        odd = batch.profile_ids % 2
        sends = [SendRequest("desk", "hello", np.flatnonzero(odd))]
        return NodeOutcome(odd, note=[f"half {side}" for side in odd], sends=sends)

    made = shop(8, plugins=(Node("halve", halve, ("even", "odd")),))
    drawn = graph(
        MANUAL, {"id": "split", "kind": "halve"},
        edges=[("start", "next", "split"), ("split", "even", "end"), ("split", "odd", "end")],
    )  # fmt: skip
    journey = start(made, drawn)
    enter(made, journey)
    made.advance()
    made.advance()
    chosen = {person: outlet for person, _, node, outlet in log(made, journey) if node == 1}
    assert chosen == {person: "odd" if person % 2 else "even" for person in made.people}
    with made.runtime.reading(made.client) as work:
        sent = work.session.scalars(sa.select(Message.profile_id).where(Message.node == "split")).all()
        notes = set(work.session.scalars(sa.select(Step.note).where(Step.node == 1, Step.note != "")))
    assert sorted(sent) == [person for person in made.people if person % 2]
    assert notes == {"half 0", "half 1"}


def one_by_one(batch: NodeBatch) -> Any:
    return np.zeros(len(batch.profile_ids), np.int64)


FAULTS: dict[str, Callable[[NodeBatch, Any], Any]] = {
    "no such outlet": lambda batch, _: NodeOutcome(one_by_one(batch) + 1),
    "below the lowest": lambda batch, _: NodeOutcome(one_by_one(batch) - 2),
    "stays without a time": lambda batch, _: NodeOutcome(one_by_one(batch) - 1),
    "stays until now": lambda batch, _: NodeOutcome(one_by_one(batch) - 1, one_by_one(batch) + batch.now),
    "too few": lambda batch, _: NodeOutcome(one_by_one(batch)[1:]),
    "too few notes": lambda batch, _: NodeOutcome(one_by_one(batch), note=["x"]),
    "raises": lambda batch, _: 1 / 0,
    "unknown account": lambda batch, _: NodeOutcome(one_by_one(batch), sends=[SendRequest("no", "no", np.arange(1))]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_node_keeps_its_people_and_holds_up_nobody_else(
    shop: Callable[..., Any], clock: FakeClock, name: str
) -> None:
    made = shop(3, plugins=(Node("broken", FAULTS[name]),))
    bad = start(made, graph(MANUAL, {"id": "bad", "kind": "broken"}), "bad")
    good = start(made, graph(MANUAL), "good")
    for journey in (bad, good):
        enter(made, journey)
    made.advance()
    assert states(made, bad) == {"active": 3}
    assert states(made, good) == {"finished": 3}
    assert {node for _, _, node, _ in log(made, bad)} == {0}
    assert broken(made.runtime.database.engine) == {}


def test_a_pause_holds_people_and_messages_and_an_archive_ends_them(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(4)
    send = {"id": "hi", "kind": "send", "settings": {"account": "desk", "template": "hello"}}
    journeys = [start(made, graph(MANUAL, send, HOUR), name) for name in ("paused", "archived")]
    for journey in journeys:
        enter(made, journey, made.people[::2])
    made.advance()
    with made.runtime.work(made.client) as work:
        pause_journey(work, journeys[0])
        archive_journey(work, journeys[1])
    done = made.send()
    assert (done.sent, done.delayed, done.reasons) == (0, 2, {"journey_archived": 2})
    assert states(made, journeys[1]) == {"exited": 2}
    clock.advance(hours=2)
    made.advance()
    assert states(made, journeys[0]) == {"active": 2}
    with made.runtime.work(made.client) as work:
        activate_journey(work, journeys[0])
    made.send()
    made.advance()
    assert states(made, journeys[0]) == {"finished": 2}
    assert len({line["key"] for line in made.delivered() if "/hi/" in line["key"]}) == 2
    assert broken(made.runtime.database.engine) == {}


def test_who_is_under_way_stays_on_their_version(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(2)
    journey = start(made, graph(MANUAL, HOUR))
    enter(made, journey, made.people[:1])
    made.advance()
    with made.runtime.work(made.client) as work:
        save_version(work, journey, graph(MANUAL))
    enter(made, journey, made.people[1:])
    made.advance()
    assert states(made, journey) == {"active": 1, "finished": 1}
    clock.advance(hours=1)
    made.advance()
    assert len([1 for person, *_ in log(made, journey) if person == made.people[0]]) == 3


def test_more_people_than_a_batch_and_all_of_them_move(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(23)
    clock.advance(hours=1)
    assert advance(made.runtime, made.client, size=5) == 23
    clock.advance(hours=1)
    advance(made.runtime, made.client, size=5)
    with made.runtime.reading(made.client) as work:
        late = sa.select(sa.func.count()).where(Enrolment.state == "active", Enrolment.due_at <= work.now)
        assert work.session.scalar(late) == 0
    assert broken(made.runtime.database.engine) == {}


def test_the_batch_of_one_client_is_gone_for_the_next(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(3)
    made.advance()
    with made.runtime.work(made.client) as work:
        if work.session.is_postgresql:
            work.session.bare(sa.schema.CreateTable(batch.BATCH, if_not_exists=True))
            assert work.session.bare(sa.select(sa.func.count()).select_from(batch.BATCH)).scalar_one() == 0
        assert work.session.scalars(sa.select(Journey.state)).all() == ["active"]
