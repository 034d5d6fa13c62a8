"""Stand-ins: Acme's API, a database with members, and the kit's random shoppers."""

from __future__ import annotations

import json
import random
from collections import Counter

import httpx2
import sqlalchemy as sa
from fairlead_acme_loyalty import node, operator
from fairlead_acme_loyalty.client import sign
from fairlead_acme_loyalty.model import Base
from fairlead_acme_loyalty.points import grant
from fairlead_acme_loyalty.settings import CardSettings
from sqlalchemy.orm import Session

from fairlead.testing import (
    ChannelHarness,
    FakeClock,
    FakeHttp,
    NodeHarness,
    RuleHarness,
    core_rule_harness,
    fake_context,
)
from fairlead.testing.harness import sample_messages

SECRET = "twin-secret-20c4"
CLIENT = 7


class Twin:
    """Checks the signature like Acme, drops repeated keys like Acme."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.notes: Counter[str] = Counter()

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """What Acme would answer."""
        at, path = request.headers.get("x-acme-time", ""), request.url.path.removeprefix("/v1")
        wanted = sign(SECRET, request.method, path, at, request.content)
        fresh = at.isdecimal() and abs(int(at) - self.clock.now.timestamp()) < 300
        if not fresh or request.headers.get("x-acme-signature") != wanted:
            return httpx2.Response(401, json={"error": "signature"})
        if (request.method, path) == ("GET", "/programme"):
            return httpx2.Response(200, json={"state": "active"})
        if (request.method, path) == ("POST", "/notes"):
            key = json.loads(request.content)["key"]
            self.notes[key] = 1
            return httpx2.Response(200, json={"note": f"N-{key}"})
        return httpx2.Response(404, json={"error": "path"})


def card_account() -> ChannelHarness:
    """A fresh account at a fresh twin."""
    clock = FakeClock()
    twin = Twin(clock)
    settings = CardSettings(base_url="https://acme.invalid/v1", programme="P-100", api_secret=SECRET)
    context = fake_context(settings, http=FakeHttp(otherwise=twin.answer).client(), clock=clock)
    messages = sample_messages(("card-70001", "card-70002", "card-70003"))
    return ChannelHarness(context, messages=messages, delivered=lambda: list(twin.notes.elements()))


def members() -> NodeHarness:
    """200 people, three in four with points, and another client's people with the same ids."""
    session = Session(sa.create_engine("sqlite://"))
    Base.metadata.create_all(session.connection())
    now, rng = FakeClock().now, random.Random(4)
    for person in range(1, 201):
        if person % 4:
            grant(session, CLIENT, person, rng.randint(1, 200), now)
        grant(session, CLIENT + 1, person, 1_000, now)
    return NodeHarness(node.Settings(points=100), session, client_id=CLIENT)


def shoppers() -> RuleHarness:
    """Random people with orders, some of them of another client and some in the future."""
    return core_rule_harness([operator.Arguments(at_least=points) for points in (0, 1, 99, 100, 1_200, 10_000)])
