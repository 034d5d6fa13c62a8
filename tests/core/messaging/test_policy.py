"""When a person may be written to: quiet hours in every zone, through every change of clocks, caps, age, pauses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.customers.model import Profile
from fairlead.errors import InvalidInput
from fairlead.messaging.guards import is_minor
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.policy import Cap, Policy, get_policy, next_allowed, set_policy, zone_of
from fairlead.testing.hostile import HostileChannel, Mood
from support.invariants import broken

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
MINUTE = dt.timedelta(minutes=1)
POLICIES = st.builds(Policy, quiet_from=st.integers(0, 1439), quiet_until=st.integers(0, 1439), caps=st.just(()))


def is_quiet(policy: Policy, zone: str, at: dt.datetime) -> bool:
    """The rule as its documents say it, by the clock on the wall."""
    local = at.astimezone(ZoneInfo(zone))
    minute = local.hour * 60 + local.minute
    start, end = policy.quiet_from, policy.quiet_until
    if start == end:
        return False
    return start <= minute < end if start < end else not end <= minute < start


@settings(max_examples=400, deadline=None)
@given(policy=POLICIES, zone=st.sampled_from(ZONES), data=st.data())
def test_nobody_is_written_to_at_night_wherever_they_live(policy: Policy, zone: str, data: Any) -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + data.draw(st.integers(0, 2 * 365 * 24 * 60)) * MINUTE
    allowed = next_allowed(policy, zone, now)
    assert allowed >= now
    assert allowed - now <= dt.timedelta(hours=26)
    assert (allowed == now) == (not is_quiet(policy, zone, now))
    assert not is_quiet(policy, zone, allowed)


CHANGES = {
    # In Berlin 02:00 becomes 03:00 on 2026-03-29 and 03:00 becomes 02:00 on 2026-10-25.
    "gap": ("Europe/Berlin", dt.datetime(2026, 3, 29, 0, 0, tzinfo=dt.UTC)),
    "fold": ("Europe/Berlin", dt.datetime(2026, 10, 24, 23, 0, tzinfo=dt.UTC)),
    "half an hour forward": ("Australia/Lord_Howe", dt.datetime(2026, 10, 3, 14, 0, tzinfo=dt.UTC)),
    "half an hour back": ("Australia/Lord_Howe", dt.datetime(2026, 4, 4, 13, 0, tzinfo=dt.UTC)),
    "midnight is skipped": ("Asia/Beirut", dt.datetime(2026, 3, 28, 20, 0, tzinfo=dt.UTC)),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize(("start", "end"), [(21 * 60, 8 * 60), (22 * 60, 150), (60, 150), (150, 170), (1410, 15)])
def test_every_minute_around_a_change_of_clocks(name: str, start: int, end: int) -> None:
    zone, begin = CHANGES[name]
    policy = Policy(quiet_from=start, quiet_until=end, caps=())
    for step in range(0, 6 * 60, 7):
        now = begin + step * MINUTE
        allowed = next_allowed(policy, zone, now)
        assert not is_quiet(policy, zone, allowed)
        waited = int((allowed - now) / MINUTE)
        # A clock that jumps may open the window up to an hour late, and never early.
        open_before = [at for at in range(waited) if not is_quiet(policy, zone, now + at * MINUTE)]
        assert len(open_before) <= 60


def test_the_default_is_what_providers_hold_to() -> None:
    evening = dt.datetime(2026, 1, 5, 13, 0, tzinfo=dt.UTC)
    assert next_allowed(Policy(), "Asia/Shanghai", evening) == dt.datetime(2026, 1, 6, 0, 0, tzinfo=dt.UTC)
    assert next_allowed(Policy(), "Asia/Shanghai", evening - MINUTE) == evening - MINUTE
    with pytest.raises(InvalidInput):
        zone_of("Mars/Olympus")


@pytest.fixture
def made(post: Callable[..., Any], clock: Any) -> Any:
    """Two people and a channel that works."""
    return post(HostileChannel(moods=[Mood.GOOD] * 99, clock=clock), 2)


def test_each_waits_for_their_own_morning(made: Any, clock: Any) -> None:
    with made.work() as work:
        set_policy(work, Policy(caps=()))
        work.session.get_one(Profile, made.people[0]).zone = "America/New_York"
    made.queue()
    made.queue("service", purpose="service")
    # 18:00 in Shanghai, 5:00 in New York.
    done = made.send()
    assert (done.sent, done.delayed) == (3, 1)
    waiting = next(row for row in made.messages() if row.state == "queued")
    assert (waiting.reason, waiting.due_at) == ("quiet_hours", dt.datetime(2026, 1, 5, 13, 0, tzinfo=dt.UTC))
    clock.advance(hours=3)
    assert made.send().sent == 1
    assert broken(made.runtime.database.engine) == {}


def test_caps_count_what_went_out_in_the_period(made: Any, clock: Any) -> None:
    caps = (
        Cap(per="day", limit=2, purpose="marketing"),
        Cap(per="week", limit=3),
        Cap(per="month", limit=1, channel="fax"),
    )
    with made.work() as work:
        set_policy(work, Policy(quiet_from=0, quiet_until=0, caps=caps))
        assert get_policy(work).caps == caps
    sent = []
    for day in range(9):
        for part in range(3):
            made.queue(f"{day}/{part}", people=made.people[:1])
        made.queue(f"{day}/s", people=made.people[:1], purpose="service")
        sent.append(made.send().sent - 1)
        clock.advance(days=1, seconds=1)
    assert sent == [2, 1, 0, 0, 0, 0, 0, 2, 1]
    assert {reason for state, reason in made.states() if state == "refused"} == {"frequency_cap"}


@pytest.mark.parametrize(
    ("born", "minor"),
    [(None, False), ("2008-01-05", False), ("2008-01-06", True), ("2025-01-01", True), ("2008-02-29", True)],
)
def test_age_turns_on_the_birthday(born: str | None, minor: bool) -> None:
    today = dt.date(2026, 1, 5)
    assert is_minor(None if born is None else dt.date.fromisoformat(born), today) is minor


def test_minors_get_what_they_asked_for_and_no_automated_marketing(made: Any) -> None:
    with made.work() as work:
        work.session.get_one(Profile, made.people[0]).birth_date = dt.date(2012, 1, 1)
    made.queue("by hand")
    with made.work() as work:
        both = np.array(made.people)
        keys = [f"j/{person}" for person in made.people]
        queue_messages(work, "desk", "hello", "marketing", both, keys, enrolments=[1, 2])
        queue_messages(work, "desk", "hello", "service", both, [f"s{key}" for key in keys], enrolments=[1, 2])
    done = made.send()
    assert (done.sent, done.reasons) == (5, {"minor": 1})


def test_a_policy_must_make_sense() -> None:
    for wrong in ({"quiet_from": 1440}, {"quiet_until": -1}, {"caps": [{"per": "year", "limit": 1}]}, {"x": 1}):
        with pytest.raises(ValueError, match="validation error"):
            Policy.model_validate(wrong)
