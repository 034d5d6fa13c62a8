"""The invariants that other tests end with: each sees the breach that it is named after."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.customers.consent import grant, withdraw
from fairlead.customers.model import Identity, Suppression
from fairlead.governance.audit import record
from fairlead.journeys.advance import advance
from fairlead.journeys.model import Enrolment
from fairlead.journeys.service import activate_journey, create_journey, enrol_profiles
from fairlead.messaging.model import QUEUED, SENT, Message
from fairlead.storage.ids import reserve
from fairlead.testing.fakes import FakeClock
from fairlead.testing.hostile import HostileChannel
from support.invariants import broken

WITHOUT_CONSENT = "a message went out without a consent that was live when it was claimed"
SUPPRESSED = "a message went out although every address of the person that its channel reaches was suppressed"
TWICE = "one node sent twice to one person on one visit"
CHAIN = "an audit chain is not what was written"


def breaches(made: Any) -> set[str]:
    return set(broken(made.runtime.database.engine))


@pytest.fixture
def desk(post: Callable[..., Any], clock: FakeClock) -> Any:
    """One person, with an address of each kind, to whom a message is queued."""
    made = post(HostileChannel(clock=clock), 1)
    made.queue()
    return made


def send_unjudged(made: Any, clock: FakeClock) -> None:
    """The message goes out, whatever the guards would have said."""
    with made.work() as work:
        values = {"state": SENT, "sent_at": clock.now, "owner": None}
        work.session.execute(sa.update(Message).where(Message.state == QUEUED).values(**values))
        work.session.execute(
            sa.text(
                "INSERT INTO message_history (client_id, message_id, number, state, reason, at)"
                " SELECT client_id, id, 2, 'sent', '', sent_at FROM message"
            ),
            execution_options={"bare": True},
        )


def test_a_message_that_was_sent_in_order_breaks_nothing(desk: Any, clock: FakeClock) -> None:
    desk.send()
    assert broken(desk.runtime.database.engine) == {}


def test_a_withdrawal_on_the_messages_own_channel_counts(desk: Any, clock: FakeClock) -> None:
    with desk.work() as work:
        withdraw(work, desk.people[0], "marketing", desk.messages()[0].channel, source="test", evidence={})
    clock.advance(minutes=1)
    send_unjudged(desk, clock)
    assert breaches(desk) == {WITHOUT_CONSENT}


def test_a_later_word_about_all_channels_does_not_undo_one_about_a_channel(desk: Any, clock: FakeClock) -> None:
    with desk.work() as work:
        withdraw(work, desk.people[0], "marketing", desk.messages()[0].channel, source="test", evidence={})
        grant(work, desk.people[0], "marketing", "*", source="test", evidence={})
    clock.advance(minutes=1)
    send_unjudged(desk, clock)
    assert breaches(desk) == {WITHOUT_CONSENT}


def test_a_consent_that_ended_counts_no_more(desk: Any, clock: FakeClock) -> None:
    with desk.work() as work:
        until = clock.now + dt.timedelta(minutes=1)
        grant(work, desk.people[0], "personalisation", "*", source="test", evidence={}, expires_at=until)
        work.session.execute(sa.update(Message).values(purpose="personalisation"))
    clock.advance(minutes=2)
    send_unjudged(desk, clock)
    assert breaches(desk) == {WITHOUT_CONSENT}


@pytest.mark.parametrize(("shut", "found"), [(1, set()), (2, {SUPPRESSED})], ids=["one of two", "all"])
def test_a_message_to_a_suppressed_address(desk: Any, clock: FakeClock, shut: int, found: set[str]) -> None:
    with desk.work() as work:
        for identity in work.session.scalars(sa.select(Identity).order_by(Identity.id).limit(shut)):
            row = Suppression(
                kind=identity.kind, blind=identity.blind, channel="*", reason="bounced", created_at=clock.now
            )
            work.session.add(row)
    clock.advance(minutes=1)
    send_unjudged(desk, clock)
    assert breaches(desk) == found


GRAPH = {
    "nodes": [
        {"id": "start", "kind": "trigger_manual"},
        {"id": "hello", "kind": "send", "settings": {"account": "desk", "template": "hello"}},
        {"id": "end", "kind": "exit"},
    ],
    "edges": [{"source": "start", "target": "hello"}, {"source": "hello", "target": "end"}],
}


def test_a_second_message_of_one_step(desk: Any) -> None:
    with desk.work() as work:
        journey = create_journey(work, "hello", "Hello", GRAPH)
        activate_journey(work, journey.id)
        enrol_profiles(work, journey.id, desk.people)
    advance(desk.runtime, desk.client)
    with desk.work() as work:
        assert work.session.scalars(sa.select(Enrolment.state)).all() == ["finished"]
    assert breaches(desk) == set()
    with desk.work() as work:
        # The key is made of enrolment, node and visit; a fault there is what lets a second message in.
        found = work.session.scalars(sa.select(Message).where(Message.node == "hello")).one()
        again = {
            column.name: getattr(found, column.name)
            for column in sa.inspect(Message).columns
            if column.name not in ("id", "key", "client_id")
        }
        work.session.add(Message(id=int(reserve(work.session.connection(), 1)[0]), key="j/again", **again))
    assert breaches(desk) == {TWICE}


def test_a_forged_audit_entry(desk: Any) -> None:
    with desk.work() as work:
        record(work, "thing.changed", "thing", 1)
    with desk.runtime.database.owner() as connection:
        if desk.runtime.database.is_sqlite:
            connection.execute(sa.text("DROP TRIGGER audit_entry_no_update"))
        else:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text("UPDATE audit_entry SET actor = 'member:1' WHERE action = 'thing.changed'"))
    assert breaches(desk) == {CHAIN}
