"""Sending through channels that misbehave: one honest fate for each message, nothing twice, nothing lost."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.channels.service import disconnect_account, pause_account, resume_account
from fairlead.clients.plugin_sets import set_plugin
from fairlead.customers.consent import withdraw
from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.model import Identity, Profile
from fairlead.errors import Conflict, NotFound, PluginOff, Unavailable
from fairlead.messaging.leases import LEASE, SENDER_LOST
from fairlead.messaging.model import FAILED, QUEUED, REFUSED, SENDING, SENT, UNKNOWN, MessageHistory
from fairlead.messaging.policy import Policy
from fairlead.messaging.service import cancel_message, resolve_unknown
from fairlead.messaging.settling import MAX_ATTEMPTS
from fairlead.messaging.templates import save_template
from fairlead.messaging.workflows import due_accounts
from fairlead.plugins.contracts.channel import OutgoingMessage, SendLimits, SendResult, SendState
from fairlead.plugins.errors import OutcomeUnknown, RetryLater, SkipItem
from fairlead.plugins.sending import send_one_by_one
from fairlead.testing.fakes import FakeClock
from fairlead.testing.hostile import HostileChannel, Mood
from support.invariants import broken

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is the same on every engine."""
PEOPLE = 14
ROUNDS = 40
FINAL = {SENT, REFUSED, FAILED, UNKNOWN}


def settle(made: Any, clock: FakeClock) -> None:
    """Send until nothing waits, mending the account in between."""
    for _ in range(ROUNDS):
        made.reconnect()
        made.send()
        clock.advance(hours=2)
        if all(row.state in FINAL for row in made.messages()):
            return
    raise AssertionError("messages wait for ever")


@ON_SQLITE
@pytest.mark.parametrize("idempotent", [True, False], ids=["takes a key", "takes none"])
@pytest.mark.parametrize("mood", [mood for mood in Mood if mood is not Mood.GOOD])
def test_one_bad_mood(post: Callable[..., Any], clock: FakeClock, mood: Mood, idempotent: bool) -> None:
    channel = HostileChannel(moods=[Mood.GOOD, mood, *[Mood.GOOD] * 40], idempotent=idempotent, clock=clock)
    made = post(channel, PEOPLE)
    made.queue()
    settle(made, clock)
    rows = made.messages()
    assert set(channel.delivered.values()) <= {1}
    assert {row.key for row in rows if row.state == SENT} <= set(channel.delivered)
    assert {row.key for row in rows if row.state == REFUSED}.isdisjoint(channel.delivered)
    if mood in (Mood.LOST_ANSWER, Mood.FOREIGN_ERROR, Mood.MALFORMED):
        assert sum(row.state == UNKNOWN for row in rows) == 7
    if mood in (Mood.MISSING, Mood.FOREIGN_KEY):
        assert sum(row.state == UNKNOWN for row in rows) == 1
    if mood in (Mood.SLOW, Mood.BUSY, Mood.WRONG_ORDER, Mood.EXTRA, Mood.CREDENTIALS):
        assert {row.state for row in rows} == {SENT}
    assert broken(made.runtime.database.engine) == {}


@pytest.mark.parametrize("seed", range(4))
def test_any_mood_at_any_time(post: Callable[..., Any], clock: FakeClock, seed: int) -> None:
    channel = HostileChannel(seed, idempotent=seed % 2 == 0, clock=clock)
    made = post(channel, PEOPLE)
    made.queue()
    settle(made, clock)
    assert set(channel.delivered.values()) <= {1}
    assert {row.key for row in made.messages() if row.state == SENT} <= set(channel.delivered)
    assert broken(made.runtime.database.engine) == {}


class Scripted(HostileChannel):
    """Answers as the test says."""

    def __init__(self, answer: Callable[[Sequence[OutgoingMessage]], Any], **more: Any) -> None:
        super().__init__(**more)
        self.answer = answer
        self.calls: list[list[str]] = []

    def limits(self, context: Any) -> SendLimits:
        return SendLimits(batch=5, per_second=1.0)

    def send(self, context: Any, messages: Sequence[OutgoingMessage]) -> Any:
        self.calls.append([message.key for message in messages])
        return self.answer(messages)


def sent(messages: Sequence[OutgoingMessage]) -> list[SendResult]:
    return [SendResult(message.key, SendState.SENT, f"x-{message.key}") for message in messages]


@ON_SQLITE
@pytest.mark.parametrize(
    "answer",
    [None, 5, "sent", {}, [None], [object()], iter(())],
    ids=["none", "number", "text", "mapping", "none-in-a-list", "object-in-a-list", "iterator"],
)
def test_what_is_no_answer_leaves_the_outcome_unknown(post: Callable[..., Any], answer: Any) -> None:
    made = post(Scripted(lambda _: answer), 3)
    made.queue()
    assert made.send().unknown == 3
    assert made.states() == {(UNKNOWN, "no_answer"): 3}


@pytest.mark.parametrize(("scope", "reached"), [("", "plain"), ("shop-1", "of shop 1"), ("shop-2", "plain")])
def test_an_account_writes_to_identities_of_its_own_scope_and_of_none(
    post: Callable[..., Any], scope: str, reached: str
) -> None:
    class OfOneShop(Scripted):
        address_kinds = ("openid", "phone")

        def limits(self, context: Any) -> SendLimits:
            return SendLimits(scope=scope)

    addresses: list[str] = []

    def note(messages: Sequence[OutgoingMessage]) -> list[SendResult]:
        addresses.extend(message.address for message in messages)
        return sent(messages)

    made = post(OfOneShop(note), 2)
    with made.work() as work:
        for shop in ("1", "3"):
            openid = ClaimColumn("openid", [f"of shop {shop}"], f"shop-{shop}")
            link(work, [ClaimColumn("phone", ["+8613800000000"]), openid], "test")
    made.queue()
    assert made.send().sent == 2
    expected = "+8613800000000" if reached == "plain" else reached
    assert sorted(addresses) == sorted([expected, "+8613800000001"])


def test_two_fates_for_one_key_are_none(post: Callable[..., Any]) -> None:
    def torn(messages: Sequence[OutgoingMessage]) -> list[SendResult]:
        return [*sent(messages), SendResult(messages[0].key, SendState.REFUSED, reason="no")]

    made = post(Scripted(torn), 3)
    made.queue()
    made.send()
    assert made.states() == {(SENT, ""): 2, (UNKNOWN, "no_answer"): 1}


def test_the_rate_is_the_accounts(post: Callable[..., Any], clock: FakeClock) -> None:
    channel = Scripted(sent)
    made = post(channel, 12)
    made.queue()
    assert (made.send().sent, made.send().sent) == (5, 0)
    clock.advance(seconds=3)
    assert made.send().sent == 3
    clock.advance(hours=1)
    assert made.send().sent == 4
    assert list(map(len, channel.calls)) == [5, 3, 4]


def test_later_means_later_and_in_the_end_never(post: Callable[..., Any], clock: FakeClock) -> None:
    def busy(messages: Sequence[OutgoingMessage]) -> Any:
        return [
            SendResult(message.key, SendState.RETRY, reason="greylisted", retry_after=600.0) for message in messages
        ]

    channel = Scripted(busy)
    made = post(channel, 1)
    made.queue()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert len(channel.calls) == attempt - 1
        done = made.send()
        assert (done.retried, done.failed) == ((1, 0) if attempt < MAX_ATTEMPTS else (0, 1))
        row = made.messages()[0]
        assert row.state == FAILED or row.due_at - clock.now >= dt.timedelta(seconds=600)
        clock.advance(seconds=599)
        made.send()
        clock.advance(hours=2)
    assert made.states() == {(FAILED, "greylisted"): 1}
    assert made.send().batches == 0


def test_an_outage_rests_the_account_and_fails_no_message(post: Callable[..., Any], clock: FakeClock) -> None:
    failures = 3 * MAX_ATTEMPTS

    def busy(messages: Sequence[OutgoingMessage]) -> Any:
        if len(channel.calls) <= failures:
            raise RetryLater("429", retry_after=600.0)
        return sent(messages)

    channel = Scripted(busy)
    made = post(channel, 12)
    made.queue()
    for attempt in range(1, failures + 1):
        assert made.send().retried == max(1, 5 >> (attempt - 1))
        clock.advance(seconds=599)
        assert made.send().batches == 0
        assert len(channel.calls) == attempt
        clock.advance(hours=2)
    assert {row.attempts for row in made.messages()} == {0}
    for _ in range(3):
        made.send()
        clock.advance(hours=2)
    assert made.states() == {(SENT, ""): 12}
    assert broken(made.runtime.database.engine) == {}


def test_a_message_that_fails_every_call_does_not_hold_up_the_others(
    post: Callable[..., Any], clock: FakeClock
) -> None:
    def choke(messages: Sequence[OutgoingMessage]) -> Any:
        if any(message.key == f"k/{made.people[0]}" for message in messages):
            raise RetryLater("500")
        return sent(messages)

    made = post(Scripted(choke), 12)
    made.queue()
    for _ in range(200):
        made.send()
        clock.advance(minutes=1)
    assert made.states() == {(SENT, ""): 11, (QUEUED, "retry_later"): 1}


def test_a_person_who_mends_an_account_need_not_wait(post: Callable[..., Any], clock: FakeClock) -> None:
    def busy(messages: Sequence[OutgoingMessage]) -> Any:
        if len(channel.calls) == 1:
            raise RetryLater("429", retry_after=80_000.0)
        return sent(messages)

    channel = Scripted(busy)
    made = post(channel, 7)
    made.queue()
    made.send()
    clock.advance(minutes=1)
    with made.work() as work:
        pause_account(work, made.account)
        resume_account(work, made.account)
    assert made.send().sent == 2


@ON_SQLITE
@pytest.mark.parametrize("wait", [float("inf"), float("nan"), -5.0, 1e18])
def test_a_senseless_wait_is_not_believed(post: Callable[..., Any], clock: FakeClock, wait: float) -> None:
    made = post(Scripted(lambda messages: [SendResult(messages[0].key, SendState.RETRY, retry_after=wait)]), 1)
    made.queue()
    assert made.send().retried == 1
    assert clock.now < made.messages()[0].due_at <= clock.now + dt.timedelta(hours=1)


def test_what_the_whole_call_refuses_stops_nobody_else(post: Callable[..., Any], clock: FakeClock) -> None:
    def refuse_first(messages: Sequence[OutgoingMessage]) -> Any:
        if len(channel.calls) == 1:
            raise SkipItem("blacklisted", code="B1")
        return sent(messages)

    channel = Scripted(refuse_first)
    channel.limits = lambda context: SendLimits(batch=2, per_second=100.0)  # type: ignore[method-assign]
    made = post(channel, 4)
    made.queue()
    assert (made.send().refused, made.states()[SENT, ""]) == (2, 2)
    assert made.states()[REFUSED, "B1"] == 2


def one_by_one(clock: FakeClock, seconds: float, note: Callable[[str], object] = lambda key: None) -> type[Scripted]:
    """A channel whose platform takes one message per call, in so many seconds."""

    class OneByOne(Scripted):
        def __init__(self) -> None:
            super().__init__(lambda _: None)

        def send(self, context: Any, messages: Sequence[OutgoingMessage]) -> Any:
            def call(message: OutgoingMessage) -> str:
                clock.advance(seconds=seconds)
                self.calls.append([message.key])
                note(message.key)
                return message.key

            return send_one_by_one(context, messages, call)

    return OneByOne


def test_a_batch_does_not_go_on_into_the_night(post: Callable[..., Any], clock: FakeClock) -> None:
    # The conftest's people have no zone of their own: the client's, Asia/Shanghai, counts.
    clock.now = dt.datetime(2026, 3, 2, 12, 59, 30, tzinfo=dt.UTC)
    channel = one_by_one(clock, 10.0)()
    made = post(channel, 5, policy=Policy(quiet_from=21 * 60, quiet_until=8 * 60, caps=()))
    made.queue()
    assert made.send().sent == 3
    assert made.states() == {(SENT, ""): 3, (QUEUED, "quiet_hours"): 2}
    assert {row.attempts for row in made.messages() if row.state == QUEUED} == {0}
    assert {row.due_at for row in made.messages() if row.state == QUEUED} == {
        dt.datetime(2026, 3, 3, 0, 0, tzinfo=dt.UTC)
    }
    assert broken(made.runtime.database.engine) == {}


def test_a_withdrawal_holds_within_a_batch(post: Callable[..., Any], clock: FakeClock) -> None:
    def stop_last(_: str) -> None:
        if len(channel.calls) == 1:
            with made.work() as work:
                withdraw(work, made.people[-1], "marketing", "*", source="test", evidence={})

    channel = one_by_one(clock, 25.0, stop_last)()
    made = post(channel, 5)
    made.queue()
    done = made.send()
    assert (done.sent, done.reasons) == (4, {"no_consent": 1})
    assert [f"k/{made.people[-1]}"] not in channel.calls
    assert broken(made.runtime.database.engine) == {}


def test_a_channel_that_tries_nothing_is_not_called_in_a_loop(post: Callable[..., Any], clock: FakeClock) -> None:
    channel = Scripted(lambda messages: [SendResult(message.key, SendState.NOT_TRIED) for message in messages])
    made = post(channel, 3)
    made.queue()
    assert made.send().batches == 1
    assert made.send().batches == 1
    assert len(channel.calls) == 2
    assert made.states() == {(QUEUED, ""): 3}


@pytest.mark.parametrize("error", [Unavailable("busy"), Conflict("taken")], ids=["unavailable", "conflict"])
def test_what_the_core_says_to_a_channel_that_sends_is_no_proof(post: Callable[..., Any], error: Exception) -> None:
    class Saving(Scripted):
        def send(self, context: Any, messages: Sequence[OutgoingMessage]) -> Any:
            super().send(context, messages)
            raise error

    channel = Saving(sent)
    made = post(channel, 2)
    made.queue()
    assert made.send().unknown == 2
    assert made.send().batches == 0
    assert made.states() == {(UNKNOWN, "no_answer"): 2}


ODD = {
    "surrogate": ({"external_id": "\ud800", "reason": "\ud800"}, SENT),
    "nul": ({"external_id": "a\0b", "reason": "\0"}, SENT),
    "number as id": ({"external_id": 5}, UNKNOWN),
    "number as reason": ({"reason": 5}, UNKNOWN),
    "text as wait": ({"retry_after": "5"}, UNKNOWN),
}


@pytest.mark.parametrize("name", ODD)
def test_one_strange_result_harms_its_own_message_at_most(post: Callable[..., Any], name: str) -> None:
    odd, expected = ODD[name]

    def strange(messages: Sequence[OutgoingMessage]) -> list[SendResult]:
        results = sent(messages)
        return [replace(results[0], **odd), *results[1:]]

    made = post(Scripted(strange), 4)
    made.queue()
    made.send()
    assert [row.state for row in made.messages()] == [expected, SENT, SENT, SENT]
    assert [row.external_id for row in made.messages()][1:] == [f"x-{row.key}" for row in made.messages()][1:]


def test_a_reason_shows_no_address(post: Callable[..., Any]) -> None:
    def refuse(messages: Sequence[OutgoingMessage]) -> list[SendResult]:
        text = "user p0@example.com 13812345678 unknown"
        return [SendResult(message.key, SendState.REFUSED, reason=text) for message in messages]

    made = post(Scripted(refuse), 1)
    made.queue()
    made.send()
    assert made.states() == {(REFUSED, "user [email] [phone] unknown"): 1}
    with made.runtime.reading("acme") as work:
        reasons = set(work.session.scalars(sa.select(MessageHistory.reason)))
    assert reasons == {"", "user [email] [phone] unknown"}


@pytest.mark.parametrize("idempotent", [True, False], ids=["takes a key", "takes none"])
@pytest.mark.parametrize("end", ["paused", "disconnected", "off", "clock set back"])
def test_a_dead_senders_messages_are_taken_back_whatever_became_of_the_account(
    post: Callable[..., Any], clock: FakeClock, end: str, idempotent: bool
) -> None:
    class Killed(BaseException):
        """Stands for kill -9."""

    def die(_: Any) -> Any:
        raise Killed

    made = post(Scripted(die, idempotent=idempotent), 1)
    made.queue()
    with pytest.raises(Killed):
        made.send()
    with made.work() as work:
        if end in ("paused", "disconnected"):
            (pause_account if end == "paused" else disconnect_account)(work, made.account)
        elif end == "off":
            set_plugin(work, made.runtime.plugins, "hostile", False)
    clock.advance(hours=-3 if end == "clock set back" else 1)
    assert due_accounts(made.runtime, made.messages()[0].client_id) == [made.account]
    if end == "off":
        with pytest.raises(PluginOff):
            made.send()
    else:
        made.send()
    again = idempotent and end in ("paused", "clock set back")
    lost = "account_disconnected" if idempotent and end == "disconnected" else SENDER_LOST
    assert made.states() == {(QUEUED if again else UNKNOWN, lost): 1}
    assert broken(made.runtime.database.engine) == {}


@pytest.mark.parametrize("idempotent", [True, False], ids=["takes a key", "takes none"])
def test_a_dead_senders_messages(post: Callable[..., Any], clock: FakeClock, idempotent: bool) -> None:
    class Killed(BaseException):
        """Stands for kill -9 between the call and its outcome."""

    def die(messages: Sequence[OutgoingMessage]) -> Any:
        if len(channel.calls) == 1:
            raise Killed
        return sent(messages)

    channel = Scripted(die, idempotent=idempotent)
    made = post(channel, 3)
    made.queue()
    with pytest.raises(Killed):
        made.send()
    assert {row.state for row in made.messages()} == {SENDING}
    assert made.send().batches == 0
    clock.advance(seconds=LEASE.total_seconds() + 1)
    made.send()
    if idempotent:
        assert made.states() == {(SENT, ""): 3}
        assert channel.calls[0] == channel.calls[1]
    else:
        assert made.states() == {(UNKNOWN, SENDER_LOST): 3}
        assert len(channel.calls) == 1
    assert broken(made.runtime.database.engine) == {}


def test_a_message_that_kills_its_senders_is_left_in_the_end(post: Callable[..., Any], clock: FakeClock) -> None:
    class Killed(BaseException):
        """Stands for kill -9."""

    def die(_: Any) -> Any:
        raise Killed

    made = post(Scripted(die, idempotent=True), 1)
    made.queue()
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Killed):
            made.send()
        clock.advance(hours=1)
    assert made.send().batches == 0
    assert made.states() == {(UNKNOWN, SENDER_LOST): 1}


def test_a_retried_message_that_may_be_out_is_not_called_refused(post: Callable[..., Any], clock: FakeClock) -> None:
    class Killed(BaseException):
        """Stands for kill -9."""

    def die(_: Any) -> Any:
        raise Killed

    made = post(Scripted(die, idempotent=True), 1)
    made.queue()
    with pytest.raises(Killed):
        made.send()
    clock.advance(hours=1)
    with made.work() as work:
        withdraw(work, made.people[0], "marketing", "*", source="test", evidence={})
    made.send()
    assert made.states() == {(UNKNOWN, "no_consent"): 1}


@pytest.mark.parametrize("state", [SendState.REFUSED, SendState.RETRY])
def test_a_lost_attempt_is_not_forgotten_by_one_that_failed(
    post: Callable[..., Any], clock: FakeClock, state: SendState
) -> None:
    class Killed(BaseException):
        """Stands for kill -9."""

    def die_then_fail(messages: Sequence[OutgoingMessage]) -> Any:
        if len(channel.calls) == 1:
            raise Killed
        return [SendResult(message.key, state, reason="no") for message in messages]

    channel = Scripted(die_then_fail, idempotent=True)
    made = post(channel, 1)
    made.queue()
    with pytest.raises(Killed):
        made.send()
    clock.advance(hours=1)
    made.send()
    if state is SendState.RETRY:
        clock.advance(hours=1)
        with made.work() as work:
            withdraw(work, made.people[0], "marketing", "*", source="test", evidence={})
        made.send()
    assert [row.state for row in made.messages()] == [UNKNOWN]
    assert broken(made.runtime.database.engine) == {}


def test_who_lost_the_lease_cannot_write_over_the_next_one(post: Callable[..., Any], clock: FakeClock) -> None:
    def slow(messages: Sequence[OutgoingMessage]) -> Any:
        if len(channel.calls) == 1:
            clock.advance(seconds=LEASE.total_seconds() + 1)
            assert made.send().sent == 3  # another worker takes over meanwhile
            return [SendResult(message.key, SendState.REFUSED, reason="late") for message in messages]
        return sent(messages)

    channel = Scripted(slow, idempotent=True)
    made = post(channel, 3)
    made.queue()
    done = made.send()
    assert (done.refused, done.sent) == (0, 0)
    assert made.states() == {(SENT, ""): 3}
    assert broken(made.runtime.database.engine) == {}


def test_a_withdrawal_between_queue_and_claim_is_honoured(post: Callable[..., Any], clock: FakeClock) -> None:
    made = post(Scripted(sent), 4)
    made.queue()
    clock.advance(seconds=1)
    with made.work() as work:
        withdraw(work, made.people[1], "marketing", "hostile", source="test", evidence={})
        withdraw(work, made.people[2], "marketing", "*", source="test", evidence={})
    done = made.send()
    assert (done.sent, done.reasons) == (2, {"no_consent": 2})
    assert broken(made.runtime.database.engine) == {}


def test_people_settle_what_nobody_knows(post: Callable[..., Any], clock: FakeClock) -> None:
    def lose(messages: Sequence[OutgoingMessage]) -> Any:
        if len(channel.calls) == 1:
            raise OutcomeUnknown("the line broke")
        return sent(messages)

    channel = Scripted(lose)
    made = post(channel, 2)
    made.queue()
    made.send()
    one, two = made.messages()
    with made.work() as work:
        assert resolve_unknown(work, one.id, was_sent=True).state == SENT
        assert resolve_unknown(work, two.id, was_sent=False).state == QUEUED
        for message_id, error in ((one.id, Conflict), (999, NotFound)):
            with pytest.raises(error):
                resolve_unknown(work, message_id, was_sent=True)
    clock.advance(minutes=1)
    assert made.send().sent == 1
    assert channel.calls == [[one.key, two.key], [two.key]]
    assert broken(made.runtime.database.engine) == {}


def test_what_has_not_left_can_be_cancelled(post: Callable[..., Any]) -> None:
    made = post(Scripted(sent), 2)
    made.queue()
    first, second = made.messages()
    with made.work() as work:
        assert cancel_message(work, first.id).state == "cancelled"
    made.send()
    with made.work() as work, pytest.raises(Conflict):
        cancel_message(work, second.id)
    assert made.states() == {("cancelled", "cancelled_by_person"): 1, (SENT, ""): 1}


def test_an_address_that_does_not_open_holds_up_nobody(post: Callable[..., Any]) -> None:
    made = post(Scripted(sent), 3)
    made.queue()
    with made.work() as work:
        row = work.session.scalars(sa.select(Identity).where(Identity.profile_id == made.people[0])).first()
        row.value = work.vault.seal(work.client_id, "profile.name", "moved")
        work.session.execute(sa.delete(Identity).where(Identity.profile_id == row.profile_id, Identity.id != row.id))
    made.send()
    assert made.states() == {(SENT, ""): 2, (REFUSED, "address_does_not_open"): 1}


@pytest.mark.parametrize(
    ("text", "fate"), [("Hi", (SENT, "")), ("{{ profile.name }}", (REFUSED, "name_does_not_open"))]
)
def test_a_name_that_does_not_open_holds_up_nobody(post: Callable[..., Any], text: str, fate: tuple[str, str]) -> None:
    made = post(Scripted(sent), 3)
    with made.work() as work:
        save_template(work, "hello", text=text)
        person = work.session.get_one(Profile, made.people[0])
        person.name = work.vault.seal(work.client_id, "identity.value", "moved")
    made.queue()
    made.send()
    assert made.states() == Counter({(SENT, ""): 2}) + Counter([fate])
