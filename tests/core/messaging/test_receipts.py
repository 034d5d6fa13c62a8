"""What platforms tell later, and what people say by a link: each counts once, in any order, and is never undone."""

from __future__ import annotations

import base64
import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.channels.model import ChannelAccount
from fairlead.clients.model import Client
from fairlead.clients.service import create_client
from fairlead.customers.consent import grant
from fairlead.customers.merging import merge_profiles
from fairlead.customers.model import Consent, Suppression
from fairlead.errors import NotFound
from fairlead.messaging.model import SENT, UNKNOWN, MessageReceipt
from fairlead.messaging.receipts import take_receipts
from fairlead.messaging.unsubscribe import accept, client_of, unsubscribe_url
from fairlead.plugins.contracts.channel import Receipt, ReceiptState
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
