"""Random people in the core's own tables, in memory, so that an operator or a node can be tried without a database.

The facts lie before, at and after the instant of the harness, because a rule must not look into the future.
"""

from __future__ import annotations

import datetime as dt
import functools
import random
import sqlite3
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from fairlead.audiences.model import ProfileTag, Tag
from fairlead.audiences.subjects import load_subjects
from fairlead.customers.model import Profile
from fairlead.facts import codes
from fairlead.facts.model import Event, Order, OrderLine, Touch
from fairlead.plugins.manager import Plugins
from fairlead.storage.crypto import Keyring, Vault
from fairlead.storage.scope import ClientScope
from fairlead.storage.session import ScopedSession
from fairlead.storage.tables import metadata
from fairlead.testing.fakes import START
from fairlead.testing.harness import NodeHarness, RuleHarness
from fairlead.work import Work

CLIENT = 1
CHANNELS = ("email", "taobao", "douyin")
TYPES = ("view", "cart", "buy")
AMOUNTS = (0, 1, 99, 9_900, 120_000)
MOMENTS = tuple(START + dt.timedelta(days=days) for days in (-400, -90, -30, -7, -1, 0, 1, 30))
ORDER_STATES = ("created", "paid", "finished", "closed", "refunded")


def random_people(count: int = 120, *, seed: int = 0) -> Work:
    """A unit of work on ``count`` people of one client, with orders, events, touches and tags; ids are 1 to ``count``.

    Another client has the same ids in the same tables, with other facts: whoever forgets the client is found out.
    """
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.deserialize(_filled(count, seed))
    return _work(_engine(connection), CLIENT)


def core_rule_harness(arguments: Sequence[Any], *, seed: int = 0) -> RuleHarness:
    """Those people as rows and, read by the core itself, as subjects."""
    work = random_people(seed=seed)
    ids = list(work.session.scalars(sa.select(Profile.id).order_by(Profile.id)))
    subjects = [subject for _, subject in sorted(load_subjects(work, ids).items())]
    return RuleHarness(arguments, work.session, Profile.id.expression, subjects, client_id=CLIENT, now=work.now)


def core_node_harness(settings: Any, *, seed: int = 0) -> NodeHarness:
    """Those people standing on a node."""
    work = random_people(seed=seed)
    ids = tuple(work.session.scalars(sa.select(Profile.id).order_by(Profile.id)))
    return NodeHarness(settings, work.session, ids, client_id=CLIENT, work=work)


@functools.lru_cache(maxsize=4)
def _filled(count: int, seed: int) -> bytes:
    """The bytes of a filled database: making one takes a second, copying it none."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    engine = _engine(connection)
    metadata.create_all(engine)
    with engine.begin() as begun:
        begun.execute(sa.text("INSERT INTO id_block (name, next) VALUES ('id', 1)"))
    for client in (CLIENT + 1, CLIENT):
        work = _work(engine, client)
        _Filler(work, random.Random(seed * 2 + client), client).fill(count)  # noqa: S311 - test data
        work.session.commit()
    return connection.serialize()


def _engine(connection: sqlite3.Connection) -> sa.Engine:
    # One connection for all: a second one in memory would be another, empty database.
    return sa.create_engine("sqlite://", poolclass=StaticPool, creator=lambda: connection)


def _work(engine: sa.Engine, client: int) -> Work:
    session = ScopedSession(bind=engine, scope=ClientScope(client), expire_on_commit=False)
    return Work(session, Vault(Keyring.generate("kit")), Plugins([]).subset([]), now=START)


class _Filler:
    def __init__(self, work: Work, rng: random.Random, client: int) -> None:
        self.session, self.rng, self.base = work.session, rng, client * 1_000_000
        self.channels = codes.codes_for(work, codes.CHANNEL, CHANNELS)
        self.types = codes.codes_for(work, codes.EVENT, TYPES)
        self.client = client

    def fill(self, count: int) -> None:
        """People first, then what they did."""
        # Ids are the core's and unique over all clients, so only this client's people have the low ones.
        first = 1 if self.client == CLIENT else self.base
        tag = Tag(id=self._id(), name="VIP", level=1, origin="manual", created_at=START)
        self.session.add(tag)
        self.session.flush()
        for person in range(first, first + count):
            self._person(person, tag.id)
        self.session.flush()

    def _person(self, person: int, tag_id: int) -> None:
        rng = self.rng
        self.session.add(
            Profile(
                id=person,
                state="active",
                gender=rng.choice([None, "female", "male"]),
                region=rng.choice([None, "310000", "440100"]),
                language=rng.choice([None, "zh"]),
                attributes={"level": rng.randint(0, 3)} if rng.random() < 0.7 else {},
                created_at=rng.choice(MOMENTS[:6]),
                changed_at=START,
            )
        )
        if rng.random() < 0.3:
            self.session.add(ProfileTag(profile_id=person, tag_id=tag_id, at=START, source="kit"))
        for _ in range(rng.randint(0, 4)):
            self._event(person)
            self._touch(person)
        for _ in range(rng.randint(0, 3)):
            self._order(person)

    def _event(self, person: int) -> None:
        rng, number = self.rng, self._id()
        self.session.add(
            Event(
                id=number,
                fingerprint=number.to_bytes(16, "big"),
                profile_id=person,
                type_code=self.types[rng.choice(TYPES)],
                channel_code=self.channels[rng.choice(CHANNELS)],
                at=rng.choice(MOMENTS),
                amount=rng.choice([None, *AMOUNTS]),
                item=rng.choice([None, "sku-1", "sku-2"]),
                properties=rng.choice([None, {}, {"page": "home"}]),
            )
        )

    def _touch(self, person: int) -> None:
        rng, number = self.rng, self._id()
        self.session.add(
            Touch(
                id=number,
                fingerprint=number.to_bytes(16, "big"),
                profile_id=person,
                identity_id=0,
                channel_code=self.channels[rng.choice(CHANNELS)],
                kind=rng.choice(["click", "impression"]),
                at=rng.choice(MOMENTS),
            )
        )

    def _order(self, person: int) -> None:
        rng, number, at = self.rng, self._id(), self.rng.choice(MOMENTS)
        amount = rng.choice(AMOUNTS)
        paid = rng.choice([0, amount])
        self.session.add(
            Order(
                id=number,
                source_id=str(number),
                profile_id=person,
                channel_code=self.channels[rng.choice(CHANNELS)],
                status=rng.choice(ORDER_STATES),
                currency="CNY",
                amount=amount,
                paid_amount=paid,
                refund_amount=rng.choice([0, paid]),
                placed_at=at,
                changed_at=at,
            )
        )
        self.session.add(OrderLine(order_id=number, position=1, sku="sku-1", title="T", quantity=1, amount=amount))

    def _id(self) -> int:
        self.base += 1
        return self.base + 500_000
