"""The one door for facts: stored once, linked to their people, orders in their newest state with their lines."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from fairlead.customers.linking import ClaimColumn
from fairlead.customers.model import Identity
from fairlead.facts.codes import CHANNEL, EVENT, known_codes, names_by_code
from fairlead.facts.ingest import (
    EventColumns,
    Taken,
    TouchColumns,
    fingerprints,
    take_events,
    take_order_records,
    take_touches,
)  # fmt: skip
from fairlead.facts.model import Event, Order, OrderLine, Touch
from fairlead.plugins.contracts.channel import IdentityClaim, OrderLineRecord, OrderRecord
from fairlead.runtime import Fairlead
from fairlead.work import Work
from support.invariants import broken

AT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
MEMBERS = [ClaimColumn("member", ["m1", None, "m1"])]


def events(source_ids: list[str], claims: list[ClaimColumn] | None = None) -> EventColumns:
    count = len(source_ids)
    return EventColumns(source_ids, ["view"] * count, ["app"] * count, [0] * count, claims or [])


def order(number: str = "T1", *, updated: int = 0, **more: Any) -> OrderRecord:
    fields: dict[str, Any] = {"status": "paid", "currency": "CNY", "amount": 100, "paid_amount": 100}
    return OrderRecord(number, AT, AT + dt.timedelta(hours=updated), **{**fields, **more})


@pytest.fixture
def work(runtime: Fairlead, agency: Any) -> Any:
    """A unit of work in a client."""
    assert agency
    with runtime.work("acme") as found:
        yield found


def test_a_fact_is_stored_once_per_source(work: Work) -> None:
    assert take_events(work, "app", events(["a", "b", "a"])) == Taken(2, 1, 0, 0, 0)
    assert take_events(work, "app", events(["a", "c"])).stored == 1
    assert take_events(work, "web", events(["a"])).stored == 1
    assert take_events(work, "app", events([])) == Taken(0, 0, 0, 0, 0)
    assert work.session.scalar(sa.select(sa.func.count()).select_from(Event)) == 4


def test_a_fingerprint_is_of_source_and_id() -> None:
    pairs = [("a", "bc"), ("ab", "c"), ("a", "b\0c"), ("a\0b", "c"), ("a", "")]
    marks = {fingerprints(source, [source_id])[0] for source, source_id in pairs[:3] + pairs[4:]}
    assert len(marks) == 4
    assert all(len(mark) == 16 for mark in marks)


def test_events_without_a_person_are_kept_and_touches_are_not(work: Work) -> None:
    assert take_events(work, "app", events(["1", "2", "3"], MEMBERS)).stored == 3
    touches = TouchColumns(["1", "2", "3"], ["click"] * 3, ["ad"] * 3, [0] * 3, MEMBERS, ["spring", None, "x"])
    assert take_touches(work, "log", touches)[0] == Taken(2, 0, 0, 0, 0)
    assert work.session.scalars(sa.select(Event.profile_id.is_(None)).order_by(Event.id)).all() == [False, True, False]
    assert work.session.scalars(sa.select(Touch.campaign).order_by(Touch.id)).all() == ["spring", "x"]


def test_a_fact_carries_an_identity_of_its_own_person(work: Work) -> None:
    take_events(work, "app", events(["1"], [ClaimColumn("device", ["d"]), ClaimColumn("member", ["m1"])]))
    # The device is m1's by now, so m2's event must not carry it.
    take_events(work, "app", events(["2"], [ClaimColumn("device", ["d"]), ClaimColumn("member", ["m2"])]))
    rows = work.session.execute(
        sa.select(Event.profile_id, Identity.profile_id, Identity.kind)
        .join(Identity, Identity.id == Event.identity_id)
        .order_by(Event.id)
    ).all()
    assert [row[2] for row in rows] == ["device", "member"]
    assert all(row[0] == row[1] for row in rows)


def test_orders_with_lines_take_the_newer_state(work: Work) -> None:
    lines = [OrderLineRecord("S1", "Tea", 2, 60, "tea"), OrderLineRecord("S" * 90, "Pot" * 90, 1, 40)]
    claims = [IdentityClaim("taobao_user", "wang"), IdentityClaim("phone", "not a phone")]
    new = order(updated=2, identities=claims, lines=lines, region="上" * 50, properties={"a": {"b": [1, None]}})
    old = order(updated=1, status="created", paid_amount=0)
    for batch in ([new, old], [old], [new]):
        take_order_records(work, "taobao", batch)
    stored = work.session.scalars(sa.select(Order)).one()
    assert (stored.status, stored.paid_amount, stored.properties) == ("paid", 100, {"a": {"b": [1, None]}})
    assert stored.profile_id is not None
    assert len(stored.region or "") == 40
    rows = work.session.scalars(sa.select(OrderLine).order_by(OrderLine.position)).all()
    assert [(len(row.sku), len(row.title), row.quantity, row.amount) for row in rows] == [
        (2, 3, 2, 60),
        (80, 200, 1, 40),
    ]
    closed = order(updated=5, status="closed", refund_amount=100)
    assert take_order_records(work, "taobao", [closed]).stored == 1
    work.session.expire_all()
    stored = work.session.scalars(sa.select(Order)).one()
    assert (stored.status, stored.refund_amount) == ("closed", 100)
    assert stored.profile_id is not None, "a state that names nobody does not take the person away"
    assert take_order_records(work, "taobao", []) == Taken(0, 0, 0, 0, 0)


def test_codes_are_small_and_stay(work: Work) -> None:
    for names in (["app", "web"], ["web", "mail"], ["app"]):
        take_events(work, "x", EventColumns(names, names, names, [0] * len(names), []))
    codes = known_codes(work, CHANNEL)
    assert sorted(codes.values()) == [0, 1, 2]
    assert names_by_code(work, CHANNEL) == {code: name for name, code in codes.items()}
    assert set(known_codes(work, EVENT)) == {"app", "web", "mail"}
    assert np.max(work.session.scalars(sa.select(Event.type_code)).all()) == 2


def test_another_client_has_its_own(runtime: Fairlead, agency: Any) -> None:
    for client in ("acme", "bolt"):
        with runtime.work(client) as work:
            assert take_events(work, "app", events(["a"], [ClaimColumn("member", ["m"])])).stored == 1
    assert agency.acme != agency.bolt
    assert broken(runtime.database.engine) == {}
