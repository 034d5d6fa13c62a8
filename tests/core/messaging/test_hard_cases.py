"""Cases found by trying to break it: merges, withdrawals, late senders, pauses, greedy templates."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

import fairlead_console
from fairlead.channels.service import connect_account, disconnect_account, pause_account
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_agency, create_client
from fairlead.customers.consent import grant, withdraw
from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.merging import merge_profiles, split_profile
from fairlead.errors import InvalidInput
from fairlead.journeys.model import Enrolment
from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.model import Message, Template
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.policy import Policy, set_policy
from fairlead.messaging.templates import render, save_template
from fairlead.runtime import Fairlead
from fairlead.storage.types import to_millis
from fairlead.testing.fakes import FakeClock
from support.invariants import broken

NO_LIMITS = Policy(quiet_from=0, quiet_until=0, caps=())


@pytest.fixture
def desk(build_runtime: Callable[..., Fairlead], tmp_path: Any) -> tuple[Fairlead, int, list[int]]:
    """A runtime whose client ``acme`` has four people with mail and consent, and an account ``desk``."""
    runtime = build_runtime(fairlead_console, cache_seconds=0)
    with runtime.agency_work("test") as work:
        create_client(work, create_agency(work, "main", "Agency").id, "acme", "Acme")
    with runtime.work("acme") as work:
        set_plugin(work, runtime.plugins, "console", True)
    with runtime.work("acme") as work:
        people = link(work, [ClaimColumn("email", [f"p{at}@example.com" for at in range(4)])], "test").profile_ids
        for person in people.tolist():
            grant(work, person, "marketing", "*", source="test", evidence={})
        set_policy(work, NO_LIMITS)
        save_template(work, "hello", text="Hello")
        account = connect_account(work, "console", "desk", {"path": str(tmp_path / "desk.jsonl")}).id
    return runtime, account, people.tolist()


def _queue(runtime: Fairlead, people: list[int], purpose: str = "marketing", account: str = "desk") -> None:
    with runtime.work("acme") as work:
        keys = [f"{account}/{purpose}/{person}" for person in people]
        queue_messages(work, account, "hello", purpose, np.array(people), keys)


def _states(runtime: Fairlead) -> dict[str, int]:
    with runtime.reading("acme") as work:
        rows = work.session.execute(
            sa.select(Message.state, Message.reason, sa.func.count()).group_by(Message.state, Message.reason)
        )
        return {f"{state}:{reason}": count for state, reason, count in rows}


def test_a_withdrawal_beats_a_consent_from_the_future(desk: tuple[Fairlead, int, list[int]], clock: FakeClock) -> None:
    runtime, account, people = desk
    ahead = clock.now + dt.timedelta(minutes=30)
    before, clock.now = clock.now, ahead
    with runtime.work("acme") as work:
        grant(work, people[0], "marketing", "*", source="a clock ahead", evidence={})
    clock.now = before
    with runtime.work("acme") as work:
        withdraw(work, people[0], "marketing", "*", source="test", evidence={})
    _queue(runtime, people[:1])
    clock.advance(hours=2)
    dispatch(runtime, runtime.client("acme").id, account)
    assert _states(runtime) == {"refused:no_consent": 1}


def test_service_messages_need_no_consent_but_honour_a_withdrawal(desk: tuple[Fairlead, int, list[int]]) -> None:
    runtime, account, people = desk
    with runtime.work("acme") as work:
        withdraw(work, people[0], "service", "console", source="test", evidence={})
    _queue(runtime, people[:2], purpose="service")
    dispatch(runtime, runtime.client("acme").id, account)
    assert _states(runtime) == {"refused:no_consent": 1, "sent:": 1}


def test_an_account_paused_after_the_claim_sends_nothing(
    desk: tuple[Fairlead, int, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, account, people = desk
    _queue(runtime, people)
    client_id = runtime.client("acme").id
    from fairlead.messaging import dispatch as module

    claim = module._claim

    def claim_then_pause(*arguments: Any) -> Any:
        taken = claim(*arguments)
        if taken is not None:
            arguments[0].after_commit.append(lambda: runtime.run("acme", lambda work: pause_account(work, account)))
        return taken

    monkeypatch.setattr(module, "_claim", claim_then_pause)
    dispatch(runtime, client_id, account)
    assert _states(runtime) == {"queued:retry_later": 4}


def test_what_a_disconnected_account_cannot_send_is_refused(desk: tuple[Fairlead, int, list[int]]) -> None:
    runtime, account, people = desk
    _queue(runtime, people)
    with runtime.work("acme") as work:
        disconnect_account(work, account)
    dispatch(runtime, runtime.client("acme").id, account)
    assert _states(runtime) == {"refused:account_disconnected": 4}


def test_merging_does_not_send_a_journeys_message_twice(
    desk: tuple[Fairlead, int, list[int]], clock: FakeClock
) -> None:
    runtime, account, people = desk
    from fairlead.audiences.segments import create_segment, refresh_segment
    from fairlead.journeys.advance import advance
    from fairlead.journeys.service import activate_journey, create_journey

    nodes = [
        {"id": "start", "kind": "trigger_segment", "settings": {"segment": "all"}},
        {"id": "hello", "kind": "send", "settings": {"account": "desk", "template": "hello"}},
        {"id": "end", "kind": "exit"},
    ]
    edges = [{"source": "start", "target": "hello"}, {"source": "hello", "target": "end"}]
    with runtime.work("acme") as work:
        refresh_segment(work, create_segment(work, "all", "All", {"identity": {"kind": "email"}}).id)
        activate_journey(work, create_journey(work, "hi", "Hi", {"nodes": nodes, "edges": edges}).id)
    advance(runtime, "acme")
    with runtime.work("acme") as work:
        merge_profiles(work, [(people[0], people[1])], rule="test", evidence=[{}])
    dispatch(runtime, runtime.client("acme").id, account)
    assert _states(runtime) == {"refused:merged_with_one_who_has_it": 1, "sent:": 3}


def _journey(runtime: Fairlead, people: list[int], *, pause: bool = False) -> int:
    """Everybody of ``people`` on a journey that sends; with ``pause`` after an hour."""
    from fairlead.journeys.advance import advance
    from fairlead.journeys.service import activate_journey, create_journey, enrol_profiles

    nodes = [{"id": "start", "kind": "trigger_manual"}]
    nodes += [{"id": "pause", "kind": "wait", "settings": {"hours": 1}}] if pause else []
    nodes += [
        {"id": "hello", "kind": "send", "settings": {"account": "desk", "template": "hello"}},
        {"id": "end", "kind": "exit"},
    ]
    edges = [{"source": one["id"], "target": two["id"]} for one, two in itertools.pairwise(nodes)]
    with runtime.work("acme") as work:
        journey = create_journey(work, "hi", "Hi", {"nodes": nodes, "edges": edges}).id
        activate_journey(work, journey)
    with runtime.work("acme") as work:
        enrol_profiles(work, journey, people)
    advance(runtime, "acme")
    return journey


@pytest.mark.parametrize("survivor_waits", ["in the queue", "before the node"])
def test_what_the_absorbed_one_has_got_the_survivor_does_not_get_again(
    desk: tuple[Fairlead, int, list[int]], clock: FakeClock, survivor_waits: str
) -> None:
    from fairlead.journeys.advance import advance
    from fairlead.journeys.service import enrol_profiles

    runtime, account, people = desk
    survivor, absorbed, *others = people
    journey = _journey(runtime, [absorbed, *others], pause=True)
    clock.advance(minutes=30)
    with runtime.work("acme") as work:
        enrol_profiles(work, journey, [survivor])
    advance(runtime, "acme")
    clock.advance(minutes=40)
    advance(runtime, "acme")
    dispatch(runtime, runtime.client("acme").id, account)
    assert _states(runtime) == {"sent:": 3}
    if survivor_waits == "in the queue":
        clock.advance(minutes=30)
        advance(runtime, "acme")
    with runtime.work("acme") as work:
        merge_profiles(work, [(survivor, absorbed)], rule="test", evidence=[{}])
    clock.advance(hours=2)
    advance(runtime, "acme")
    dispatch(runtime, runtime.client("acme").id, account)
    assert _states(runtime) == {"refused:merged_with_one_who_has_it": 1, "sent:": 3}


def test_who_is_absorbed_on_the_way_gets_there_as_the_survivor(
    desk: tuple[Fairlead, int, list[int]], clock: FakeClock
) -> None:
    from fairlead.journeys.advance import advance

    runtime, account, people = desk
    survivor, first, second, outsider = people
    _journey(runtime, [first, second], pause=True)
    with runtime.work("acme") as work:
        merges = merge_profiles(work, [(survivor, first), (survivor, second)], rule="test", evidence=[{}, {}])
    clock.advance(hours=2)
    advance(runtime, "acme")
    dispatch(runtime, runtime.client("acme").id, account)
    assert _states(runtime) == {"sent:": 1}
    with runtime.work("acme") as work:
        split_profile(work, merges[0].id)
    with runtime.reading("acme") as work:
        sent_to = work.session.scalars(sa.select(Message.profile_id)).all()
        states = dict(work.session.execute(sa.select(Enrolment.profile_id, Enrolment.state)).all())
    assert sent_to == [first] or sent_to == [survivor]
    assert states == {first: "finished", second: "exited"}
    assert outsider not in states
    assert broken(runtime.database.engine) == {}


@pytest.mark.parametrize(
    "source",
    [
        "{{ (1..3000000) | join: '' | size }}",
        "{% assign a = '" + "x" * 7000 + "' %}{{ a | replace: 'x', a }}",
        "{% assign a = 'aaaaaaaaaa' %}{% for i in (1..40) %}{% assign a = a | append: a %}{% endfor %}{{ a }}",
        "{% assign a = 9 %}{% for i in (1..500) %}{% assign a = a | times: 999999999 %}{% endfor %}{{ a }}",
        "{% assign a = '"
        + "x " * 9000
        + "' | split: ' ' %}{% for i in (1..900) %}{% assign b = a | uniq %}{% endfor %}",
        "{% assign a = (1..900) | join: ' ' | split: ' ' %}{{ a" + " | uniq" * 9000 + " | size }}",
        "{% for i in (1..1000) %}" + "{% if false %}{% endif %}" * 3500 + "{% endfor %}",
    ],
)
def test_a_greedy_template_is_stopped(desk: tuple[Fairlead, int, list[int]], source: str) -> None:
    runtime, _, _ = desk
    with runtime.work("acme") as work, pytest.raises(InvalidInput, match="more than a message may"):
        save_template(work, "greedy", text=source)
    template = Template(name="greedy", text=source, subject="", html="")
    with pytest.raises(InvalidInput):
        render(template, {"profile": {}, "attributes": {}, "client": {}, "unsubscribe_url": ""})


def test_a_template_whose_data_may_not_fit_can_be_saved(desk: tuple[Fairlead, int, list[int]]) -> None:
    runtime, _, _ = desk
    with runtime.work("acme") as work:
        save_template(
            work, "birthday", text="{{ attributes.born | date: '%d' }} {% for i in attributes.x %}{% endfor %}"
        )


def test_consents_far_in_the_future_are_no_dates(desk: tuple[Fairlead, int, list[int]], clock: FakeClock) -> None:
    from fairlead.customers.chunk import Chunk
    from fairlead.customers.storing import _not_later

    now = to_millis(clock.now)
    chunk = Chunk(("at",), [2, 3, 4], [["a"], ["b"], ["c"]])
    read = _not_later(chunk, "at", [now - 5, now + 60_000, now + 10**9], now)
    assert read == [now - 5, now, now]
    assert list(chunk.problems) == [2]
