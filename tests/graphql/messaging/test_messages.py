"""Messages: listed by what one looks for, with what became of them, settled and taken back by a person."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa

from fairlead.customers.consent import grant
from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.history import set_state
from fairlead.messaging.model import Message
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.templates import save_template

LIST = """
query ($state: MessageState, $channel: String, $profile: ID, $first: Int = 20) {
  client(slug: "acme") {
    messages(state: $state, channel: $channel, profileId: $profile, first: $first) {
      totalCount
      nodes {
        id channel accountId purpose state reason attempts dueAt sentAt enrolmentId nodeId
        template { name number }
        profile { id name }
        history { number state reason at }
        receipts { state at detail }
      }
    }
  }
}
"""
COUNTS = '{ client(slug: "acme") { messageCounts { channel state reason count } } }'
RESOLVE = """
mutation ($input: ResolveUnknownMessageInput!) {
  resolveUnknownMessage(input: $input) { message { state reason history { state reason } } errors { code path } }
}
"""
CANCEL = """
mutation ($input: CancelMessageInput!) {
  cancelMessage(input: $input) { message { state reason } errors { code path } }
}
"""

RETRY = """
mutation ($input: RetryMessagesInput!) {
  retryMessages(input: $input) { queued errors { code path } }
}
"""


def queue(world: Any) -> list[int]:
    """One message to everybody, of whom all but the last agreed to it; the ids."""
    people = world.profiles["acme"]
    with world.client_work("acme") as work:
        save_template(work, "hello", subject="Hi", text="Hi")
        for number in people[:-1]:
            grant(work, number, "marketing", "*", source="test", text_version="1", evidence={})
        queue_messages(work, "out", "hello", "marketing", np.array(people), [f"t/{number}" for number in people])
    with world.runtime.reading(world.clients["acme"]) as work:
        return list(work.session.scalars(sa.select(Message.id).order_by(Message.id)))


def send(world: Any) -> None:
    with world.runtime.reading(world.clients["acme"]) as work:
        account = work.session.scalars(sa.select(Message.account_id).limit(1)).one()
    dispatch(world.runtime, world.clients["acme"], account)


def set_to(world: Any, number: int, state: str) -> None:
    with world.client_work("acme") as work:
        set_state(work, {number: (state, "test")})


def test_messages_are_found_by_what_one_looks_for(world: Any) -> None:
    ids = queue(world)
    send(world)
    everything = world.data("analyst@acme", LIST)["client"]["messages"]
    assert everything["totalCount"] == 3
    assert [one["id"] for one in everything["nodes"]] == [world.gid("Message", number) for number in ids[::-1]]
    refused, sent = everything["nodes"][0], everything["nodes"][1]
    assert (refused["state"], sent["state"]) == ("REFUSED", "SENT")
    assert refused["reason"] != ""
    assert refused["sentAt"] is None
    assert (sent["channel"], sent["purpose"], sent["template"]) == (
        "console",
        "marketing",
        {"name": "hello", "number": 1},
    )
    assert [one["state"] for one in sent["history"]][-1] == "SENT"
    assert (sent["receipts"], sent["enrolmentId"], sent["nodeId"]) == ([], None, "")
    found = world.data("analyst@acme", LIST, state="SENT")["client"]["messages"]
    assert found["totalCount"] == 2
    one = world.data("analyst@acme", LIST, profile=sent["profile"]["id"])["client"]["messages"]
    assert [message["id"] for message in one["nodes"]] == [sent["id"]]
    assert world.data("analyst@acme", LIST, channel="email")["client"]["messages"]["nodes"] == []
    counts = world.data("analyst@acme", COUNTS)["client"]["messageCounts"]
    assert sorted((count["state"], count["count"]) for count in counts) == [("REFUSED", 1), ("SENT", 2)]


def test_who_got_what_needs_the_permission_to_see_people(world: Any) -> None:
    queue(world)
    blind = world.add_token("blind", "client:read", "messages:read")
    answer = world.gql(blind, LIST)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}
    assert [one["profile"] for one in answer["data"]["client"]["messages"]["nodes"]] == [None] * 3
    by_person = LIST.replace("profile { id name }", "")
    assert world.codes(blind, by_person, profile=world.gid("Profile", world.profiles["acme"][0])) == ["FORBIDDEN"]
    assert world.codes(blind, by_person) == []


def test_an_unknown_message_is_settled_by_a_person(world: Any) -> None:
    first, second, third = queue(world)
    for number in (first, second):
        set_to(world, number, "unknown")
    given = {"client": "acme", "messageId": world.gid("Message", first), "wasSent": True}
    settled = world.data("operator@acme", RESOLVE, input=given)["resolveUnknownMessage"]
    assert (settled["message"]["state"], settled["message"]["history"][-1]["state"]) == ("SENT", "SENT")
    again = {**given, "messageId": world.gid("Message", second), "wasSent": False}
    assert world.data("operator@acme", RESOLVE, input=again)["resolveUnknownMessage"]["message"]["state"] == "QUEUED"
    refused = world.data("operator@acme", RESOLVE, input={**given, "messageId": world.gid("Message", third)})
    assert refused["resolveUnknownMessage"]["errors"] == [{"code": "CONFLICT", "path": ["messageId"]}]
    world.engine.run_due(world.clock())
    states = {one["id"]: one["state"] for one in world.data("analyst@acme", LIST)["client"]["messages"]["nodes"]}
    assert states[world.gid("Message", second)] == "SENT", "settling as not sent asks the engine to send it"


def test_a_message_is_taken_back_until_it_left(world: Any) -> None:
    first, second, _ = queue(world)
    given = {"client": "acme", "messageId": world.gid("Message", first)}
    cancelled = world.data("operator@acme", CANCEL, input=given)["cancelMessage"]
    assert cancelled == {"message": {"state": "CANCELLED", "reason": "cancelled_by_person"}, "errors": []}
    send(world)
    left = {**given, "messageId": world.gid("Message", second)}
    assert world.codes("operator@acme", CANCEL, input=left) == ["CONFLICT"]
    assert world.codes("operator@acme", CANCEL, input=given) == ["CONFLICT"]
    assert world.codes("operator@bolt", CANCEL, input={**given, "client": "bolt"}) == ["NOT_FOUND"]


def test_a_longer_list_takes_no_more_statements(world: Any) -> None:
    queue(world)
    send(world)
    counts = []
    for first in (1, 3):
        with world.counting() as seen:
            nodes = world.data("analyst@acme", LIST, first=first)["client"]["messages"]["nodes"]
        assert len(nodes) == first
        counts.append(seen.number)
    assert counts[0] == counts[1]


def test_failed_messages_are_tried_again(world: Any) -> None:
    first = queue(world)[0]
    send(world)
    set_to(world, first, "failed")
    with world.runtime.reading(world.clients["acme"]) as work:
        account = work.session.scalars(sa.select(Message.account_id).limit(1)).one()
    given = {"client": "acme", "accountId": world.gid("ChannelAccount", account)}
    assert world.codes("analyst@acme", RETRY, input=given) == ["FORBIDDEN"]
    assert world.data("operator@acme", RETRY, input=given)["retryMessages"] == {"queued": 1, "errors": []}
    assert world.data("operator@acme", RETRY, input=given)["retryMessages"]["queued"] == 0
    counts = world.data("analyst@acme", COUNTS)["client"]["messageCounts"]
    assert sorted((count["state"], count["count"]) for count in counts) == [("QUEUED", 1), ("REFUSED", 1), ("SENT", 1)]
    strange = {**given, "accountId": world.gid("ChannelAccount", 10**9)}
    assert world.codes("operator@acme", RETRY, input=strange) == ["NOT_FOUND"]
