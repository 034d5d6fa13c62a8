"""People through a whole journey: each step once, each message once, every refusal with its reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import sqlalchemy as sa

from fairlead.customers.consent import withdraw
from fairlead.customers.model import Profile, Suppression
from fairlead.journeys.model import Enrolment, Journey, Step
from fairlead.journeys.service import pause_journey
from fairlead.messaging.model import Message
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.policy import Cap, Policy, set_policy
from fairlead.testing.fakes import FakeClock


def _steps(shop: Any) -> dict[str, int]:
    with shop.runtime.reading(shop.client) as work:
        return dict(work.session.execute(sa.select(Step.outlet, sa.func.count()).group_by(Step.outlet)).all())


def _states(shop: Any) -> dict[tuple[str, str], int]:
    with shop.runtime.reading(shop.client) as work:
        rows = work.session.execute(
            sa.select(Message.state, Message.reason, sa.func.count()).group_by(Message.state, Message.reason)
        )
        return {(state, reason): count for state, reason, count in rows}


def test_everybody_goes_all_the_way_once(shop: Callable[..., Any], clock: FakeClock) -> None:
    # given
    made = shop(20)
    # when: the first hour, the send, the day of the goal
    assert made.advance() == 20
    clock.advance(hours=1)
    assert made.advance() == 20 + 20 + 10 + 10
    made.send()
    assert made.advance() == 0
    clock.advance(days=1, minutes=1)
    made.advance()
    # then
    lines = made.delivered()
    assert sorted(line["address"] for line in lines) == sorted(f"p{number}@example.com" for number in range(0, 20, 2))
    assert len({line["key"] for line in lines}) == 10
    assert _states(made) == {("sent", ""): 10}
    with made.runtime.reading(made.client) as work:
        states = work.session.execute(sa.select(Enrolment.state, sa.func.count()).group_by(Enrolment.state)).all()
        visits = work.session.execute(
            sa.select(Step.enrolment_id, sa.func.count(), sa.func.max(Step.visit)).group_by(Step.enrolment_id)
        ).all()
    assert [tuple(row) for row in states] == [("finished", 20)]
    assert all(count == last + 1 for _, count, last in visits)
    # when: everything again
    clock.advance(days=3)
    # then: nothing is left to do
    assert made.advance() == 0
    assert made.send() is None
    assert len(made.delivered()) == 10


def test_the_goal_is_reached_by_those_who_reach_it(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(4)
    clock.advance(hours=1)
    made.advance()
    with made.runtime.work(made.client) as work:
        work.session.get_one(Profile, made.people[0]).attributes = {"bought": True}
    clock.advance(hours=1, minutes=1)
    made.advance()
    clock.advance(days=2)
    made.advance()
    assert _steps(made)["reached"] == 1
    assert _steps(made)["missed"] == 1
    with made.runtime.reading(made.client) as work:
        reached = work.session.scalars(sa.select(Enrolment.profile_id).where(Enrolment.goal_at.is_not(None))).all()
    assert reached == [made.people[0]]


def test_guards_refuse_with_a_reason(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(8)
    made.advance()
    clock.advance(hours=1)
    made.advance()
    with made.runtime.work(made.client) as work:
        withdraw(work, made.people[0], "marketing", "console", source="test", evidence={})
        blind = work.vault.blind(work.client_id, "email", "p2@example.com")
        work.session.add(
            Suppression(
                client_id=work.client_id, kind="email", blind=blind, channel="*", reason="bounced", created_at=work.now
            )
        )
        member = work.vault.blind(work.client_id, "member", "m2")
        work.session.add(
            Suppression(
                client_id=work.client_id, kind="member", blind=member, channel="*", reason="asked", created_at=work.now
            )
        )
        clock.advance(seconds=1)
    made.send()
    assert _states(made) == {("sent", ""): 2, ("refused", "no_consent"): 1, ("refused", "suppressed"): 1}


def test_quiet_hours_wait_until_morning(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(2)
    made.advance()
    clock.advance(hours=1)
    made.advance()
    now = clock.now.astimezone(ZoneInfo("Asia/Shanghai"))
    minute = now.hour * 60 + now.minute
    with made.runtime.work(made.client) as work:
        set_policy(work, Policy(quiet_from=max(minute - 5, 0), quiet_until=(minute + 60) % 1440, caps=()))
    assert made.send().delayed == 1
    assert made.delivered() == []
    assert made.send() is None
    clock.advance(minutes=61)
    assert made.send().sent == 1


def test_caps_hold_over_several_journeys(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(2)
    with made.runtime.work(made.client) as work:
        set_policy(work, Policy(quiet_from=0, quiet_until=0, caps=(Cap(per="day", limit=1),)))
        queue_messages(work, "desk", "hello", "marketing", np.array(made.people * 3), [f"k{n}" for n in range(6)])
    made.send()
    assert _states(made) == {("sent", ""): 2, ("refused", "frequency_cap"): 4}


def test_a_paused_journey_moves_nobody(shop: Callable[..., Any], clock: FakeClock) -> None:
    made = shop(2)
    with made.runtime.work(made.client) as work:
        pause_journey(work, work.session.scalars(sa.select(Journey.id)).one())
    clock.advance(hours=2)
    assert made.advance() == 0
