"""What a platform pushes: verified by the channel, stored once, whatever it repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.channels.model import WebhookDelivery
from fairlead.channels.service import connect_account, disconnect_account
from fairlead.channels.webhooks import LONGEST_ID, deliver, forget_deliveries
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_agency, create_client
from fairlead.errors import NotFound
from fairlead.facts.model import Order
from fairlead.plugins.contracts.channel import ChannelContext, InboundOutcome, InboundRequest, OrderRecord
from fairlead.plugins.errors import FixCredentials
from fairlead.testing.fakes import FakeClock
from fairlead.testing.hostile import HostileChannel

REQUEST = InboundRequest("POST", "/hook", {}, {"x-hostile-signature": "genuine"}, b"k/1")


class Pushing(HostileChannel):
    """Brings the order that the body names, under an id of the test's choice."""

    dedupe: Callable[[bytes], str] = staticmethod(lambda body: body.decode())

    def receive(self, context: ChannelContext, request: InboundRequest) -> InboundOutcome:
        outcome = super().receive(context, request)
        at = context.now()
        orders: Sequence[OrderRecord] = [OrderRecord(request.body.decode(), at, at, "paid", currency="CNY", amount=1)]
        return replace(outcome, dedupe_id=type(self).dedupe(request.body), orders=orders)


@pytest.fixture
def made(build_runtime: Callable[..., Any], clock: FakeClock) -> tuple[Any, int]:
    """A runtime with a client and its account."""
    runtime = build_runtime(Pushing(clock=clock), cache_seconds=0)
    with runtime.agency_work("test") as work:
        create_client(work, create_agency(work, "main", "Agency").id, "acme", "Acme")
    with runtime.work("acme") as work:
        set_plugin(work, runtime.plugins, "hostile", True)
    with runtime.work("acme") as work:
        account = connect_account(work, "hostile", "desk", {}).id
    return runtime, account


def stored(runtime: Any) -> tuple[int, int]:
    with runtime.reading("acme") as work:
        tables = (WebhookDelivery, Order)
        deliveries, orders = (work.session.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables)
        return deliveries, orders


def test_the_same_delivery_has_one_effect(made: tuple[Any, int]) -> None:
    runtime, account = made
    for _ in range(5):
        assert deliver(runtime, "acme", account, REQUEST).status == 200
    assert stored(runtime) == (1, 1)
    deliver(runtime, "acme", account, replace(REQUEST, body=b"k/2"))
    assert stored(runtime) == (2, 2)


@pytest.mark.parametrize(
    "dedupe", [lambda _: "", lambda body: "x" * (LONGEST_ID + 1) + body.decode()], ids=["none", "long"]
)
def test_an_id_that_is_missing_or_too_long_drops_nothing(
    made: tuple[Any, int], monkeypatch: pytest.MonkeyPatch, dedupe: Callable[[bytes], str]
) -> None:
    runtime, account = made
    monkeypatch.setattr(Pushing, "dedupe", staticmethod(dedupe))
    for body in (b"a", b"b", b"a"):
        deliver(runtime, "acme", account, replace(REQUEST, body=body))
    assert stored(runtime) == (2, 2)


def test_what_is_not_genuine_leaves_nothing(made: tuple[Any, int]) -> None:
    runtime, account = made
    with pytest.raises(FixCredentials):
        deliver(runtime, "acme", account, replace(REQUEST, headers={}))
    assert stored(runtime) == (0, 0)


def test_there_is_no_such_account(made: tuple[Any, int]) -> None:
    runtime, account = made
    with pytest.raises(NotFound):
        deliver(runtime, "acme", account + 1000, REQUEST)
    with pytest.raises(NotFound):
        deliver(runtime, "nobody", account, REQUEST)
    with runtime.work("acme") as work:
        disconnect_account(work, account)
    with pytest.raises(NotFound):
        deliver(runtime, "acme", account, REQUEST)
    assert stored(runtime) == (0, 0)


def test_the_ids_of_deliveries_are_kept_for_a_week(made: tuple[Any, int], clock: FakeClock) -> None:
    runtime, account = made
    deliver(runtime, "acme", account, REQUEST)
    clock.advance(days=6)
    deliver(runtime, "acme", account, replace(REQUEST, body=b"k/2"))
    assert runtime.run_agency("test", forget_deliveries) == 0
    clock.advance(days=2)
    assert runtime.run_agency("test", forget_deliveries) == 1
    assert stored(runtime)[0] == 1
