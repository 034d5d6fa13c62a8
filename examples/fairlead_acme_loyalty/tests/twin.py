"""Stand-ins: Acme's API, a database with members, and shoppers as rows and as subjects."""

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

from fairlead.facts.model import Order
from fairlead.plugins.contracts.rule_operator import FactView, RuleSubject
from fairlead.testing import ChannelHarness, FakeClock, FakeHttp, NodeHarness, RuleHarness, fake_context
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
    """100 people with random orders, as rows of the core's table and as subjects."""
    session = Session(sa.create_engine("sqlite://"))
    Order.metadata.tables["orders"].create(session.connection())
    people = sa.Table("people", sa.MetaData(), sa.Column("profile_id", sa.BigInteger, primary_key=True))
    people.create(session.connection())
    clock, rng = FakeClock(), random.Random(9)
    subjects = []
    for person in range(1, 101):
        session.execute(people.insert(), {"profile_id": person})
        facts = []
        for _ in range(rng.randint(0, 4)):
            paid = rng.choice([0, 999, 5_000, 10_000])
            refund = rng.choice([0, 0, paid])
            facts.append(_order(session, person, paid, refund, clock))
        nothing: frozenset[str] = frozenset()
        subjects.append(RuleSubject(person, {}, facts, nothing, {}, frozenset(), nothing, clock.now))
    arguments = [operator.Arguments(at_least=points) for points in (0, 1, 9, 10, 50, 100, 10_000)]
    return RuleHarness(arguments, session, people.c.profile_id, subjects, client_id=CLIENT)


def _order(session: Session, person: int, paid: int, refund: int, clock: FakeClock) -> FactView:
    number = (session.scalar(sa.select(sa.func.count()).select_from(Order)) or 0) + 1
    session.add(
        Order(
            id=number,
            client_id=CLIENT,
            source_id=str(number),
            profile_id=person,
            channel_code=1,
            status="paid",
            currency="CNY",
            amount=paid,
            paid_amount=paid,
            refund_amount=refund,
            placed_at=clock.now,
            changed_at=clock.now,
        )
    )
    session.flush()
    fields = {"status": "paid", "currency": "CNY", "paid_amount": paid, "refund_amount": refund}
    return FactView("order", "acme", clock.now, paid, {}, source="order", fields=fields)
