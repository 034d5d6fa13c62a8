"""Customers changed by people: agreements with and without an end, merges undone, values blocked, persons revealed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.model import Identity
from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.model import Message
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.templates import save_template

CONSENT = """
mutation ($input: RecordConsentInput!) {
  recordConsent(input: $input) {
    profile { consents { purpose channel state expiresAt } }
    errors { code path }
  }
}
"""
HISTORY = """
query ($id: ID!) {
  client(slug: "acme") {
    profile(id: $id) {
      id state mergedInto
      identities { kind masked }
      merges { id absorbedId rule evidence mergedAt undoneAt }
    }
  }
}
"""
MERGES = """
query { client(slug: "acme") { merges(first: 5) { totalCount nodes { id survivorId undoneAt } } } }
"""
SPLIT = """
mutation ($input: SplitProfileInput!) {
  splitProfile(input: $input) {
    profile { identities { kind } merges { id undoneAt } }
    errors { code path }
  }
}
"""
BLOCK = """
mutation ($input: BlockIdentityInput!) { blockIdentity(input: $input) { blocked errors { code path } } }
"""
UNBLOCK = """
mutation ($input: UnblockIdentityInput!) { unblockIdentity(input: $input) { wasBlocked errors { code path } } }
"""
REVEAL = """
mutation ($input: RevealProfileInput!) {
  revealProfile(input: $input) { name identities { kind value } errors { code path } }
}
"""
LOG = """
query { client(slug: "acme") { audit(first: 1) { nodes { action actor memberId changes { field after } } } } }
"""


def agree(world: Any, number: int, **more: Any) -> dict[str, Any]:
    given = {
        "client": "acme",
        "profileId": world.gid("Profile", number),
        "purpose": "marketing",
        "granted": True,
        "source": "desk",
    }
    answer: dict[str, Any] = world.data("operator@acme", CONSENT, input=given | more)["recordConsent"]
    return answer


def send(world: Any, key: str) -> list[tuple[int, str, str]]:
    """Send a message to all three people; what became of each."""
    people = world.profiles["acme"]
    with world.client_work("acme") as work:
        save_template(work, "hello", subject="Hi", text="Hi")
        queue_messages(work, "out", "hello", "marketing", np.array(people), [f"{key}/{number}" for number in people])
    with world.runtime.reading(world.clients["acme"]) as work:
        account = work.session.scalars(sa.select(Message.account_id).limit(1)).one()
    dispatch(world.runtime, world.clients["acme"], account)
    with world.runtime.reading(world.clients["acme"]) as work:
        newest = sa.select(Message.profile_id, Message.state, Message.reason).order_by(Message.id.desc()).limit(3)
        return sorted((number, state, reason) for number, state, reason in work.session.execute(newest))


def test_an_agreement_with_an_end_holds_until_then(world: Any) -> None:
    first, second, third = world.profiles["acme"]
    ends = world.clock() + dt.timedelta(days=1)
    noted = agree(world, first, expiresAt=ends.isoformat())
    assert noted == {
        "profile": {
            "consents": [
                {"purpose": "marketing", "channel": "*", "state": "granted", "expiresAt": ends.isoformat()},
            ]
        },
        "errors": [],
    }
    agree(world, second)
    assert [state for _, state, _ in send(world, "before")] == ["sent", "sent", "refused"]
    world.clock.advance(days=2)
    after = send(world, "after")
    assert after == [(first, "refused", "no_consent"), (second, "sent", ""), (third, "refused", "no_consent")]
    agree(world, first)
    assert [state for _, state, _ in send(world, "again")] == ["sent", "sent", "refused"]


@pytest.mark.parametrize(
    "ends",
    ["2020-01-01T00:00:00Z", "2026-12-31T00:00:00", "9999-12-31T23:59:59-14:00"],
    ids=["past", "without a zone", "after the end of time"],
)
def test_an_agreement_ends_at_a_time_to_come(world: Any, ends: str) -> None:
    first = world.profiles["acme"][0]
    refused = agree(world, first, expiresAt=ends)
    assert refused == {"profile": None, "errors": [{"code": "BAD_USER_INPUT", "path": ["expiresAt"]}]}


def test_what_is_noted_is_not_cut(world: Any) -> None:
    refused = agree(world, world.profiles["acme"][0], textVersion="v" * 41)
    assert refused["errors"] == [{"code": "BAD_USER_INPUT", "path": ["textVersion"]}]


def test_a_merge_is_seen_and_undone(seeded: Any) -> None:
    world = seeded
    with world.runtime.reading(world.clients["acme"]) as work:
        blind = work.vault.blind(work.client_id, "member", "two")
        number = work.session.scalars(sa.select(Identity.profile_id).where(Identity.blind == blind)).one()
    found = world.data("operator@acme", HISTORY, id=world.gid("Profile", number))["client"]["profile"]
    (merge,) = found["merges"]
    assert [one["kind"] for one in found["identities"]] == ["email", "member"]
    assert (merge["rule"], merge["undoneAt"]) == ("shared_identity", None)
    assert merge["evidence"] == {"source": "test", "kinds": ["email", "member"]}
    listed = world.data("analyst@acme", MERGES)["client"]["merges"]
    assert listed["totalCount"] == 3
    assert {"id": merge["id"], "survivorId": found["id"], "undoneAt": None} in listed["nodes"]
    assert world.data("analyst@bolt", MERGES.replace("acme", "bolt"))["client"]["merges"]["nodes"] != listed["nodes"]
    absorbed = world.data("operator@acme", HISTORY, id=merge["absorbedId"])["client"]["profile"]
    assert (absorbed["state"], absorbed["mergedInto"], absorbed["merges"]) == ("merged", found["id"], [])
    given = {"client": "acme", "mergeId": merge["id"]}
    parted = world.data("operator@acme", SPLIT, input=given)["splitProfile"]
    assert [one["kind"] for one in parted["profile"]["identities"]] in (["email"], ["member"])
    assert parted["profile"]["merges"][0]["undoneAt"] is not None
    absorbed = world.data("operator@acme", HISTORY, id=merge["absorbedId"])["client"]["profile"]
    assert (absorbed["state"], absorbed["mergedInto"], len(absorbed["identities"])) == ("active", None, 1)
    again = world.data("operator@acme", SPLIT, input=given)["splitProfile"]
    assert again == {"profile": None, "errors": [{"code": "CONFLICT", "path": ["mergeId"]}]}
    assert world.codes("operator@bolt", SPLIT, input=given | {"client": "bolt"}) == ["NOT_FOUND"]


def test_a_blocked_value_links_nobody_until_it_is_let_again(world: Any) -> None:
    phone = {"client": "acme", "kind": "phone", "value": "13900139000"}
    blocked = world.data("operator@acme", BLOCK, input=phone | {"reason": "the shop's own"})["blockIdentity"]
    assert blocked == {"blocked": True, "errors": []}

    def seen_with(*members: str) -> set[int]:
        with world.client_work("acme") as work:
            claims = [ClaimColumn("member", list(members)), ClaimColumn("phone", ["+8613900139000"] * len(members))]
            return set(link(work, claims, "test").profile_ids.tolist())

    assert len(seen_with("a", "b")) == 2
    freed = world.data("operator@acme", UNBLOCK, input=phone)["unblockIdentity"]
    assert freed == {"wasBlocked": True, "errors": []}
    assert world.data("operator@acme", UNBLOCK, input=phone)["unblockIdentity"]["wasBlocked"] is False
    assert len(seen_with("c", "d")) == 1


def test_who_looked_at_a_person_and_why_is_in_the_log(world: Any) -> None:
    number = world.profiles["acme"][0]
    given = {"client": "acme", "profileId": world.gid("Profile", number), "purpose": "call back"}
    assert world.codes("operator@acme", REVEAL, input=given) == ["FORBIDDEN"]
    shown = world.data("admin@acme", REVEAL, input=given)["revealProfile"]
    assert {one["kind"]: one["value"] for one in shown["identities"]} == {
        "email": "acme0@people.test",
        "phone": "+8613810000000",
    }
    (entry,) = world.data("admin@acme", LOG)["client"]["audit"]["nodes"]
    assert entry["action"] == "profile.reveal"
    assert entry["memberId"] == world.gid("Member", world.members["admin@acme"])
    assert {"field": "purpose", "after": "call back"} in entry["changes"]
    assert "people.test" not in str(entry)
    refused = world.data("admin@acme", REVEAL, input=given | {"purpose": " x "})["revealProfile"]
    assert refused["errors"] == [{"code": "BAD_USER_INPUT", "path": ["purpose"]}]
