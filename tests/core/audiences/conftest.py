"""A client with people, a plugin with an operator and a scheme, and short ways to write facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from fairlead.clients import service
from fairlead.customers.model import Profile
from fairlead.facts import codes
from fairlead.facts.model import Event, Order, OrderLine
from fairlead.governance.permissions import Actor, System
from fairlead.plugins import Kind, Manifest, Title, hookimpl
from fairlead.plugins.contracts.rule_operator import RuleSqlContext, RuleSubject
from fairlead.plugins.contracts.scoring import Feature, Scores
from fairlead.runtime import Fairlead
from fairlead.work import Work

NOW = dt.datetime(2026, 3, 1, 4, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


class Parity(BaseModel):
    """Which ids are meant."""

    odd: bool = True


class OddIds:
    """A rule operator: the id is odd, or even."""

    manifest = Manifest("odd_ids", Kind.RULE_OPERATOR, "1", Title("奇数", "odd"), Title("奇数", "odd"), Parity)

    def compile(self, context: RuleSqlContext, arguments: Parity) -> sa.ColumnElement[bool]:
        return context.profile_id % 2 == int(arguments.odd)

    def evaluate(self, subject: RuleSubject, arguments: Parity) -> bool:
        return subject.profile_id % 2 == int(arguments.odd)


class SumSettings(BaseModel):
    """What is counted, and how the scheme misbehaves."""

    events: dict[str, int | None] = {}
    attributes: list[str] = []
    fault: str = ""


class Sums:
    """A scoring scheme: the sum of its columns, each a part."""

    manifest = Manifest("sums", Kind.SCORING_SCHEME, "1", Title("求和", "sum"), Title("求和", "sum"), SumSettings)

    def features(self, settings: SumSettings) -> tuple[Feature, ...]:
        events = [Feature(name, "event", name, days) for name, days in settings.events.items()]
        return (*events, *(Feature(name, "attribute", name) for name in settings.attributes))

    def score(self, columns: dict[str, Any], settings: SumSettings) -> Scores:
        if settings.fault == "raises":
            raise RuntimeError("13800138000 is not a number")
        total = sum(columns.values(), np.zeros(len(next(iter(columns.values())))))
        return Scores(total / 0 if settings.fault == "infinite" else total, columns)


class AudiencePlugin:
    """Brings both."""

    name = "audience_tests"

    @hookimpl
    def fairlead_register_rule_operators(self, register: Callable[..., None]) -> None:
        register(OddIds())

    @hookimpl
    def fairlead_register_scoring_schemes(self, register: Callable[..., None]) -> None:
        register(Sums())


@dataclass
class Place:
    """The client ``acme`` in a runtime whose clock is ``now``."""

    runtime: Fairlead
    client_id: int
    other_id: int
    now: list[dt.datetime] = field(default_factory=lambda: [NOW])
    plugins: tuple[str, ...] = ("audience_tests",)

    @contextmanager
    def _with_plugins(self, opened: AbstractContextManager[Work]) -> Iterator[Work]:
        with opened as work:
            work.plugins = self.runtime.plugins.subset(self.plugins)
            yield work

    def work(self, actor: Actor | None = None, client: int | None = None) -> AbstractContextManager[Work]:
        """A unit of work that is committed."""
        return self._with_plugins(self.runtime.work(client or self.client_id, actor=actor or System("test")))

    def reading(self, actor: Actor | None = None, client: int | None = None) -> AbstractContextManager[Work]:
        """A unit of work that is undone."""
        return self._with_plugins(self.runtime.reading(client or self.client_id, actor=actor or System("test")))

    def move(self, by: dt.timedelta) -> None:
        """Let time pass."""
        self.now[0] += by


@pytest.fixture
def place(build_runtime: Callable[..., Fairlead]) -> Place:
    """A fresh client on the test's database."""
    now = [NOW]
    runtime = build_runtime(AudiencePlugin(), now=lambda: now[0])
    with runtime.agency_work("test") as work:
        agency = service.create_agency(work, "main", "Agency")
        acme = service.create_client(work, agency.id, "acme", "Acme")
        bolt = service.create_client(work, agency.id, "bolt", "Bolt")
    return Place(runtime, acme.id, bolt.id, now)


class Facts:
    """Writes people and what they did."""

    def __init__(self) -> None:
        self._number = 0

    def people(self, work: Work, count: int, **columns: Any) -> list[int]:
        """Active profiles; give their ids."""
        rows = [Profile(created_at=work.now, changed_at=work.now, **columns) for _ in range(count)]
        work.session.add_all(rows)
        work.session.flush()
        return [row.id for row in rows]

    def event(self, work: Work, profile_id: int | None, type_: str, *, ago: dt.timedelta = DAY, **columns: Any) -> None:
        """One event."""
        self._number += 1
        work.session.add(
            Event(
                fingerprint=b"%016d" % self._number,
                profile_id=profile_id,
                type_code=codes.codes_for(work, codes.EVENT, [type_])[type_],
                channel_code=codes.codes_for(work, codes.CHANNEL, ["tmall"])["tmall"],
                at=work.now - ago,
                **columns,
            )
        )
        work.session.flush()

    def order(
        self, work: Work, profile_id: int, *skus: str, ago: dt.timedelta = DAY, amount: int = 100, **columns: Any
    ) -> None:
        """One paid order with a line for each article."""
        self._number += 1
        order = Order(
            source_id=f"o{self._number}",
            profile_id=profile_id,
            channel_code=codes.codes_for(work, codes.CHANNEL, ["tmall"])["tmall"],
            **{"status": "paid", "currency": "CNY", "amount": amount, "paid_amount": amount, "refund_amount": 0}
            | columns,
            placed_at=work.now - ago,
            changed_at=work.now,
        )
        work.session.add(order)
        work.session.flush()
        for position, sku in enumerate(skus):
            work.session.add(
                OrderLine(order_id=order.id, position=position, sku=sku, title=sku, quantity=1, amount=amount)
            )
        work.session.flush()


@pytest.fixture
def facts() -> Facts:
    """Writes people and what they did."""
    return Facts()


@pytest.fixture
def count_statements(place: Place) -> Callable[[], AbstractContextManager[list[str]]]:
    """``with count_statements() as statements`` collects the SQL that runs in the block."""

    @contextmanager
    def collect() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        engine = place.runtime.database.engine
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)

    return collect
