"""What platforms tell later, and what people say by a link: each counts once, in any order, and is never undone."""

from __future__ import annotations

import base64
import datetime as dt
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.channels.model import ChannelAccount
from fairlead.clients.model import Client
from fairlead.clients.service import create_client
from fairlead.customers.consent import grant
from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.merging import merge_profiles
from fairlead.customers.model import Consent, Suppression
from fairlead.errors import NotFound
from fairlead.messaging.history import set_state
from fairlead.messaging.model import (
    CANCELLED,
    FAILED,
    QUEUED,
    REFUSED,
    SENT,
    UNKNOWN,
    LooseReceipt,
    MessageReceipt,
)
from fairlead.messaging.receipts import forget_loose, take_receipts
from fairlead.messaging.service import resolve_unknown
from fairlead.messaging.unsubscribe import accept, client_of, unsubscribe_url
from fairlead.plugins.contracts.channel import OutgoingMessage, Receipt, ReceiptState, SendResult, SendState
from fairlead.testing.hostile import HostileChannel, Mood
from support.invariants import broken

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is the same on every engine."""
KINDS = ("phone", "email")


def take(made: Any, *receipts: Receipt) -> int:
    with made.work() as work:
        account = work.session.get_one(ChannelAccount, made.account)
        return take_receipts(work, account, receipts, KINDS)


def consents(made: Any) -> dict[tuple[int, str], str]:
    with made.runtime.reading("acme") as work:
        rows = work.session.execute(sa.select(Consent.profile_id, Consent.channel, Consent.state))
        return {(person, channel): state for person, channel, state in rows}


def suppressed(made: Any) -> list[tuple[str, str]]:
    with made.runtime.reading("acme") as work:
        return sorted(work.session.execute(sa.select(Suppression.kind, Suppression.reason)).all())


@pytest.fixture
def made(post: Callable[..., Any], clock: Any) -> Any:
    """Two people whose messages went out."""
    found = post(HostileChannel(moods=[Mood.GOOD] * 9, clock=clock), 2)
    found.queue()
    found.send()
    clock.advance(minutes=1)
    return found


def test_each_counts_once_in_any_order(made: Any, clock: Any) -> None:
    one, two = made.messages()
    told = [
        Receipt(state, clock.now + dt.timedelta(seconds=at), key=message.key)
        for message in (one, two)
        for at, state in enumerate((ReceiptState.DELIVERED, ReceiptState.READ, ReceiptState.CLICKED))
    ]
    told += [Receipt(ReceiptState.DELIVERED, clock.now, external_id=f"x-{one.key}")]
    chance = random.Random(1)
    new = 0
    for _ in range(6):
        chance.shuffle(told)
        new += take(made, *told)
    assert new == 6
    with made.runtime.reading("acme") as work:
        assert work.session.scalar(sa.select(sa.func.count()).select_from(MessageReceipt)) == 6
    assert made.states() == {(SENT, ""): 2}


def test_receipts_of_strangers_change_nothing(made: Any, clock: Any) -> None:
    before = consents(made)
    for state in ReceiptState:
        assert take(made, Receipt(state, clock.now, key="nobody", external_id="x-nobody")) == 0
        assert take(made, Receipt(state, clock.now)) == 0
    assert consents(made) == before
    assert suppressed(made) == []


def test_a_bounce_shuts_the_address_and_the_next_message_takes_the_other(made: Any, clock: Any) -> None:
    one, _ = made.messages()
    take(made, Receipt(ReceiptState.BOUNCED, clock.now, key=one.key, address="+86 138 0000 0000"))
    assert suppressed(made) == [("phone", "bounced")]
    made.queue("second")
    assert made.send().sent == 2
    take(made, Receipt(ReceiptState.BOUNCED, clock.now, address="P0@Example.com"))
    made.queue("third")
    done = made.send()
    assert (done.sent, done.reasons) == (1, {"suppressed": 1})


def test_a_complaint_withdraws_once_and_a_replay_does_not_withdraw_again(made: Any, clock: Any) -> None:
    one, _ = made.messages()
    complaint = Receipt(ReceiptState.COMPLAINED, clock.now, key=one.key)
    take(made, complaint)
    assert consents(made)[one.profile_id, "hostile"] == "withdrawn"
    assert suppressed(made) == [("phone", "complained")]
    clock.advance(days=1)
    with made.work() as work:
        grant(work, one.profile_id, "marketing", "hostile", source="asked again", evidence={})
        work.session.execute(sa.delete(Suppression))
    assert take(made, complaint, complaint) == 0
    assert consents(made)[one.profile_id, "hostile"] == "granted"
    assert suppressed(made) == []
    take(made, Receipt(ReceiptState.UNSUBSCRIBED, clock.now, key=one.key))
    assert consents(made)[one.profile_id, "hostile"] == "withdrawn"
    assert broken(made.runtime.database.engine) == {}


def test_a_receipt_settles_what_nobody_knew(post: Callable[..., Any], clock: Any) -> None:
    found = post(HostileChannel(moods=[Mood.LOST_ANSWER], clock=clock), 3)
    found.queue()
    found.send()
    assert {state for state, _ in found.states()} == {UNKNOWN}
    one, two, _ = found.messages()
    told = {one.key: ReceiptState.DELIVERED, two.key: ReceiptState.BOUNCED}
    take(found, *(Receipt(state, clock.now, key=key) for key, state in told.items()))
    assert found.states() == {(SENT, "receipt_delivered"): 1, (SENT, "receipt_bounced"): 1, (UNKNOWN, "no_answer"): 1}
    assert broken(found.runtime.database.engine) == {}


# -- receipts that name no message ----


def reaches(made: Any, purpose: str, key: str) -> dict[str, int]:
    """What is refused when both people are written to for a purpose."""
    made.queue(key, purpose=purpose)
    return dict(made.send().reasons)


def test_an_opt_out_by_address_withdraws_and_can_be_agreed_to_again(made: Any, clock: Any) -> None:
    stop = Receipt(ReceiptState.UNSUBSCRIBED, clock.now, address="138 0000 0000")
    person = made.people[0]
    assert take(made, stop) == 0
    assert consents(made)[person, "hostile"] == "withdrawn"
    assert reaches(made, "marketing", "after") == {"no_consent": 1}
    clock.advance(days=1)
    with made.work() as work:
        grant(work, person, "marketing", "hostile", source="asked again", evidence={})
    take(made, stop)
    assert reaches(made, "marketing", "again") == {}
    assert broken(made.runtime.database.engine) == {}


def test_an_opt_out_of_an_address_nobody_has_waits_for_whoever_brings_it(made: Any, clock: Any) -> None:
    take(made, Receipt(ReceiptState.UNSUBSCRIBED, clock.now, address="+8613911112222"))
    assert suppressed(made) == [("phone", "unsubscribed")]
    with made.work() as work:
        (person,) = link(work, [ClaimColumn("phone", ["+8613911112222"])], "import").profile_ids.tolist()
        grant(work, person, "marketing", "*", source="import", evidence={})
    made.people = [person]
    assert reaches(made, "marketing", "ads") == {"suppressed": 1}
    assert reaches(made, "service", "order") == {}
    take(made, Receipt(ReceiptState.BOUNCED, clock.now, address="+8613911112222"))
    assert reaches(made, "service", "another order") == {"suppressed": 1}


def test_a_complaint_by_address_withdraws_and_shuts(made: Any, clock: Any) -> None:
    take(made, Receipt(ReceiptState.COMPLAINED, clock.now, address="P0@example.com"))
    assert consents(made)[made.people[0], "hostile"] == "withdrawn"
    assert suppressed(made) == [("email", "complained")]


class Talking(HostileChannel):
    """Its platform tells of each message before it has answered the call."""

    tell: Callable[[Sequence[OutgoingMessage]], None]

    def send(self, context: Any, messages: Sequence[OutgoingMessage]) -> Any:
        self.tell(messages)
        return [SendResult(message.key, SendState.SENT, f"x-{message.key}") for message in messages]


@pytest.mark.parametrize("named_by", ["external_id", "key"])
def test_a_receipt_that_comes_before_the_answer_counts(post: Callable[..., Any], clock: Any, named_by: str) -> None:
    channel = Talking(clock=clock)
    found = post(channel, 2)

    def tell(messages: Sequence[OutgoingMessage]) -> None:
        names = {"external_id": f"x-{messages[0].key}"} if named_by == "external_id" else {"key": messages[0].key}
        take(found, Receipt(ReceiptState.DELIVERED, clock.now, **names))
        take(found, Receipt(ReceiptState.UNSUBSCRIBED, clock.now, **names))

    channel.tell = tell
    found.queue()
    found.send()
    one, two = found.messages()
    assert (one.state, two.state) == (SENT, SENT)
    assert (one.external_id, two.external_id) == (f"x-{one.key}", f"x-{two.key}")
    assert consents(found)[one.profile_id, "hostile"] == "withdrawn"
    with found.runtime.reading("acme") as work:
        told = work.session.scalars(sa.select(MessageReceipt.state).where(MessageReceipt.message_id == one.id)).all()
        assert sorted(told) == ["delivered", "unsubscribed"]
        assert work.session.scalars(sa.select(LooseReceipt.state)).all() == []
    assert take(found, Receipt(ReceiptState.DELIVERED, clock.now, external_id=f"x-{one.key}")) == 0
    assert broken(found.runtime.database.engine) == {}


def test_loose_receipts_are_forgotten(made: Any, clock: Any) -> None:
    take(made, Receipt(ReceiptState.DELIVERED, clock.now, external_id="x-nobody"))
    clock.advance(days=6)
    assert made.runtime.run_agency("test", forget_loose) == 0
    clock.advance(days=2)
    assert made.runtime.run_agency("test", forget_loose) == 1


def test_the_id_of_an_unknown_message_finds_it(post: Callable[..., Any], clock: Any) -> None:
    class Lost(HostileChannel):
        def send(self, context: Any, messages: Sequence[OutgoingMessage]) -> Any:
            return [SendResult(message.key, SendState.UNKNOWN, "x" * 200) for message in messages]

    found = post(Lost(clock=clock), 1)
    found.queue()
    assert found.send().unknown == 1
    assert take(found, Receipt(ReceiptState.BOUNCED, clock.now, external_id="x" * 200)) == 1
    assert found.states() == {(SENT, "receipt_bounced"): 1}


def test_a_channels_own_ids_outlive_a_dead_sender(post: Callable[..., Any], clock: Any) -> None:
    class Killed(BaseException):
        """Stands for kill -9 between the call and its outcome."""

    class Naming(HostileChannel):
        def external_id_of(self, context: Any, key: str) -> str:
            return f"<{key}@own.example>"

        def send(self, context: Any, messages: Sequence[OutgoingMessage]) -> Any:
            raise Killed

    found = post(Naming(clock=clock), 1)
    found.queue()
    with pytest.raises(Killed):
        found.send()
    (message,) = found.messages()
    take(found, Receipt(ReceiptState.COMPLAINED, clock.now, external_id=f"<{message.key}@own.example>"))
    assert found.states() == {(SENT, "receipt_complained"): 1}
    assert consents(found)[message.profile_id, "hostile"] == "withdrawn"
    assert broken(found.runtime.database.engine) == {}


@pytest.mark.parametrize("state", [QUEUED, FAILED, REFUSED, CANCELLED])
def test_what_a_receipt_proves_to_be_sent_is_not_sent_again(post: Callable[..., Any], clock: Any, state: str) -> None:
    channel = HostileChannel(moods=[Mood.LOST_ANSWER, *[Mood.GOOD] * 9], clock=clock)
    found = post(channel, 1)
    found.queue()
    found.send()
    (message,) = found.messages()
    clock.advance(hours=1)
    with found.work() as work:
        if state == QUEUED:
            resolve_unknown(work, message.id, was_sent=False)
        else:
            set_state(work, {message.id: (state, "taken for not sent")}, owner=None, sent_at=None)
    take(found, Receipt(ReceiptState.DELIVERED, clock.now, key=message.key))
    found.send()
    assert channel.delivered == {message.key: 1}
    assert found.states() == {(SENT, "receipt_delivered"): 1}
    assert found.messages()[0].sent_at == message.sent_at
    assert broken(found.runtime.database.engine) == {}


# -- links ----


def token_of(made: Any, person: int, channel: str = "hostile") -> str:
    with made.work() as work:
        return unsubscribe_url(work, person, "marketing", channel).rsplit("/u/", 1)[1]


def test_a_link_withdraws_and_does_so_again_without_harm(made: Any) -> None:
    token = token_of(made, made.people[0])
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert b"example.com" not in raw
    assert b"138000" not in raw
    for _ in range(2):
        with made.work() as work:
            assert client_of(token) == work.client_id
            assert accept(work, token) == ("marketing", "hostile")
    assert consents(made)[made.people[0], "hostile"] == "withdrawn"
    made.queue("next")
    assert made.send().reasons == {"no_consent": 1}


def test_the_link_of_an_absorbed_person_withdraws_for_who_goes_on(made: Any, clock: Any) -> None:
    token = token_of(made, made.people[1])
    with made.work() as work:
        merge_profiles(work, [(made.people[0], made.people[1])], rule="test", evidence=[{}])
    clock.advance(minutes=1)
    with made.work() as work:
        accept(work, token)
    assert consents(made)[made.people[0], "hostile"] == "withdrawn"
    assert broken(made.runtime.database.engine) == {}


def test_a_link_is_good_for_its_client_only(made: Any) -> None:
    token = token_of(made, made.people[0])
    with made.runtime.agency_work("test") as work:
        agency = work.session.scalars(sa.select(Client.agency_id)).first()
        create_client(work, agency, "bolt", "Bolt")
    with made.runtime.work("bolt") as work, pytest.raises(NotFound):
        accept(work, token)


@ON_SQLITE
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_link_is_no_link(made: Any, data: Any) -> None:
    token = token_of(made, made.people[0])
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    changed = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    with made.runtime.reading("acme") as work, pytest.raises(NotFound):
        accept(work, changed)


HUGE = base64.urlsafe_b64encode(b'[999999999999999999999,1,"a","b"]' + b"0" * 16).decode()


@pytest.mark.parametrize("token", ["", "x", "%%%", "é", "A" * 5000, HUGE])
def test_noise_is_no_link(made: Any, token: str) -> None:
    with pytest.raises(NotFound):
        client_of(token)
    with made.runtime.reading("acme") as work, pytest.raises(NotFound):
        accept(work, token)
