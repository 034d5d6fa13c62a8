"""The fixtures that ship, the fakes, the samples and the hostile channel."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

import httpx2
import pytest
from pydantic import BaseModel, Field, SecretStr

from fairlead.plugins.contracts.channel import InboundRequest, OutgoingMessage, SendState, Window
from fairlead.plugins.errors import FixCredentials, OutcomeUnknown, PluginError, RetryLater, SkipItem
from fairlead.plugins.manager import Plugins
from fairlead.plugins.sending import send_one_by_one
from fairlead.testing import FakeClock, FakeHttp, HostileChannel, Mood, SavedSettings, fake_context, sample_settings
from fairlead.testing.harness import sample_messages
from fairlead.testing.hostile import VendorError
from fairlead.testing.samples import secret_values
from fairlead.testing.subject import ContractBroken

MESSAGES = sample_messages()


# -- fixtures and fakes ---------------------------------------------------------------------------------------------


def test_importing_the_pytest_plugin_loads_nothing_heavy() -> None:
    heavy = ("numpy", "sqlalchemy", "pydantic", "httpx2", "pluggy.fake", "fairlead.plugins")
    code = f"import sys, fairlead.testing.plugin; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_clock_only_moves_when_told(fairlead_clock: FakeClock) -> None:
    assert fairlead_clock() == fairlead_clock.now == dt.datetime(2026, 1, 5, 10, tzinfo=dt.UTC)
    assert fairlead_clock.advance(minutes=5) == dt.datetime(2026, 1, 5, 10, 5, tzinfo=dt.UTC)


def test_the_fixtures_share_one_clock_and_one_far_side(
    fairlead_clock: FakeClock, fairlead_http: FakeHttp, fairlead_context: Callable[..., Any]
) -> None:
    context = fairlead_context()
    fairlead_http.reply(201, {"id": 7}).reply(429, headers={"retry-after": "3"})
    assert context.http.post("https://x.invalid/a", json={"n": 1}).json() == {"id": 7}
    assert context.http.get("https://x.invalid/b").headers["retry-after"] == "3"
    assert context.http.get("https://x.invalid/c").json() == {}
    assert [request.url.path for request in fairlead_http.requests] == ["/a", "/b", "/c"]
    assert fairlead_http.bodies() == [{"n": 1}, None, None]
    fairlead_clock.advance(hours=1)
    assert context.now() == fairlead_clock.now


@pytest.mark.parametrize(
    ("fault", "method", "error"),
    [
        (httpx2.ConnectError("x"), "POST", RetryLater),
        (httpx2.ReadTimeout("x"), "GET", RetryLater),
        (httpx2.ReadTimeout("x"), "POST", OutcomeUnknown),
    ],
)
def test_a_broken_line_is_what_the_real_client_makes_of_it(
    fault: Exception, method: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        FakeHttp(otherwise=fault).client().request(method, "https://x.invalid/")


def test_saved_settings_are_merged() -> None:
    saved = SavedSettings()
    context = fake_context(save_settings=saved)
    context.save_settings({"a": 1, "deep": {"x": 1}})
    context.save_settings({"deep": {"y": 2}})
    assert saved.latest == {"a": 1, "deep": {"x": 1, "y": 2}}
    assert len(saved) == 2


class Inner(BaseModel):
    token: SecretStr
    level: Literal["low", "high"]


class Sampled(BaseModel):
    name: str = Field(min_length=12)
    number: int = Field(ge=5, le=9)
    ratio: float = Field(gt=0)
    many: list[str] = Field(min_length=2)
    inner: Inner
    secret: SecretStr
    shown: str = Field(examples=["as given"])
    kept: str = "default"


def test_samples_are_valid_and_their_secrets_recognisable() -> None:
    sample = sample_settings(Sampled)
    assert (sample.shown, sample.kept, sample.inner.level) == ("as given", "default", "low")
    secrets = secret_values(sample)
    assert len(secrets) == len(set(secrets)) == 2
    assert all("s3cret" in secret for secret in secrets)


class Impossible(BaseModel):
    code: str = Field(pattern=r"^[A-Z]{3}-\d{5}$")


def test_what_cannot_be_made_up_is_asked_for() -> None:
    with pytest.raises(ContractBroken, match=r"\(code\): give these fields Field\(examples"):
        sample_settings(Impossible)


# -- sending one by one ---------------------------------------------------------------------------------------------


def sender(*fates: object) -> Callable[[OutgoingMessage], str]:
    left = list(fates)

    def send(message: OutgoingMessage) -> str:
        fate = left.pop(0)
        if isinstance(fate, Exception):
            raise fate
        return str(fate)

    return send


def test_each_message_keeps_its_own_fate() -> None:
    results = send_one_by_one(fake_context(), MESSAGES, sender("id-1", SkipItem("closed"), OutcomeUnknown("lost")))
    assert [(r.key, r.state, r.external_id, r.reason) for r in results] == [
        ("kit-1", SendState.SENT, "id-1", ""),
        ("kit-2", SendState.REFUSED, "", "closed"),
        ("kit-3", SendState.UNKNOWN, "", "lost"),
    ]


def test_what_was_sent_is_not_lost_when_the_platform_gets_busy() -> None:
    results = send_one_by_one(fake_context(), MESSAGES, sender("id-1", RetryLater("busy", retry_after=9)))
    assert [(r.key, r.state, r.retry_after) for r in results] == [
        ("kit-1", SendState.SENT, None),
        ("kit-2", SendState.RETRY, 9),
        ("kit-3", SendState.NOT_TRIED, 9),
    ]


def test_what_its_time_does_not_suffice_for_is_left() -> None:
    clock = FakeClock()
    context = replace(fake_context(clock=clock), not_after=clock.now + dt.timedelta(seconds=5))

    def slow(message: OutgoingMessage) -> str:
        clock.advance(seconds=4)
        return message.key

    results = send_one_by_one(context, MESSAGES, slow)
    assert [r.state for r in results] == [SendState.SENT, SendState.SENT, SendState.NOT_TRIED]
    assert {r.key for r in send_one_by_one(context, MESSAGES, slow)} == {message.key for message in MESSAGES}


@pytest.mark.parametrize("error", [RetryLater("busy"), FixCredentials("expired")])
def test_an_error_before_anything_was_sent_is_raised(error: PluginError) -> None:
    with pytest.raises(type(error)):
        send_one_by_one(fake_context(), MESSAGES, sender(error))


# -- the hostile channel --------------------------------------------------------------------------------------------


def attempt(channel: HostileChannel) -> Any:
    try:
        return channel.send(fake_context(), MESSAGES)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize(
    ("mood", "told", "delivered"),
    [
        (Mood.GOOD, ["kit-1", "kit-2", "kit-3"], 3),
        (Mood.PARTIAL, ["kit-1", "kit-2", "kit-3"], 1),
        (Mood.WRONG_ORDER, ["kit-3", "kit-2", "kit-1"], 3),
        (Mood.MISSING, ["kit-1", "kit-2"], 3),
        (Mood.EXTRA, ["kit-1", "kit-2", "kit-3", "nobody-asked"], 3),
        (Mood.FOREIGN_KEY, ["nobody-asked", "kit-2", "kit-3"], 3),
    ],
)
def test_what_the_hostile_channel_tells_and_does(mood: Mood, told: list[str], delivered: int) -> None:
    channel = HostileChannel(moods=[mood])
    assert [result.key for result in attempt(channel)] == told
    assert channel.delivered.total() == delivered


@pytest.mark.parametrize(
    ("mood", "raised", "delivered"),
    [
        (Mood.BUSY, RetryLater, 0),
        (Mood.CREDENTIALS, FixCredentials, 0),
        (Mood.FOREIGN_ERROR, VendorError, 0),
        (Mood.LOST_ANSWER, OutcomeUnknown, 3),
    ],
)
def test_what_the_hostile_channel_raises(mood: Mood, raised: type[Exception], delivered: int) -> None:
    channel = HostileChannel(moods=[mood])
    assert attempt(channel) is raised
    assert channel.delivered.total() == delivered


def test_malformed_results_are_no_results() -> None:
    assert attempt(HostileChannel(moods=[Mood.MALFORMED])) == [{"code": 0, "data": None}] * 3


def test_slowness_moves_the_clock_and_not_the_test() -> None:
    clock = FakeClock()
    before = clock.now
    attempt(HostileChannel(moods=[Mood.SLOW], clock=clock))
    assert clock.now - before == dt.timedelta(seconds=90)


def test_one_seed_is_one_story_and_every_mood_comes() -> None:
    one, two, other = HostileChannel(seed=5), HostileChannel(seed=5), HostileChannel(seed=6)
    for _ in range(300):
        assert str(attempt(one)) == str(attempt(two))
        attempt(other)
    assert one.played == two.played != other.played
    assert set(one.played) == set(Mood)


def test_an_idempotent_far_side_takes_a_key_once() -> None:
    channel = HostileChannel(moods=[Mood.GOOD, Mood.LOST_ANSWER, Mood.GOOD], idempotent=True)
    for _ in range(3):
        attempt(channel)
    assert channel.delivered == Counter({"kit-1": 1, "kit-2": 1, "kit-3": 1})


def test_its_webhooks_come_twice_and_from_tomorrow(hostile_channel: HostileChannel) -> None:
    context = fake_context(clock=hostile_channel.clock)
    genuine = InboundRequest("POST", "/", {}, {"x-hostile-signature": "genuine"}, b"kit-1")
    first, second = (hostile_channel.receive(context, genuine) for _ in range(2))
    assert first.dedupe_id == second.dedupe_id
    assert first.receipts[0].at > context.now()
    with pytest.raises(FixCredentials):
        hostile_channel.receive(context, InboundRequest("POST", "/", {}, {}, b"kit-1"))


def test_its_orders_go_back_in_time_and_break_off() -> None:
    now = FakeClock().now
    pages = HostileChannel().sync_orders(fake_context(), Window(now, now + dt.timedelta(hours=1)))
    seen = [(order.source_id, order.status) for page in islice(pages, 3) for order in page]
    with pytest.raises(RetryLater):
        next(pages)
    assert seen == [("T1", "paid"), ("T1", "created"), ("T1", "paid"), ("T2", "paid")]


def test_it_is_a_plugin_in_tests_and_nowhere_else() -> None:
    assert Plugins.for_tests(HostileChannel()).channels["hostile"].plugin == "hostile"
    assert "hostile" not in Plugins.discover(environ={}).names
