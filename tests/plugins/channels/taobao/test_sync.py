"""Reading orders from the replay twin while they move, and the windows they are read by."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from fairlead.plugins.contracts.channel import (
    OrderRecord,
    ReceivesWebhooks,
    RefreshesCredentials,
    SyncsOrders,
    Window,
)
from fairlead.plugins.errors import Abort
from fairlead.testing.fakes import FakeHttp
from fairlead_taobao import fairlead_register_channels
from fairlead_taobao.channel import TaobaoChannel
from fairlead_taobao.client import call
from fairlead_taobao.mapping import from_utc, to_fen
from fairlead_taobao.orders import LIST, pieces
from fairlead_taobao.settings import TaobaoSettings
from fairlead_taobao.twin import TaobaoTwin

DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)
# Read everything up to the last full second, and nothing twice: what overlap is for is tested on its own.
EXACT: dict[str, Any] = {"overlap_seconds": 0, "settle_seconds": 1}
CHANNEL = TaobaoChannel()


def sync(context: Any, start: dt.datetime, end: dt.datetime) -> list[OrderRecord]:
    return [order for page in CHANNEL.sync_orders(context, Window(start, end)) for order in page]


def states(orders: list[OrderRecord]) -> Counter[tuple[str, str]]:
    return Counter((order.source_id, from_utc(order.updated_at)) for order in orders)


def test_the_plugin_registers_one_channel_with_three_capabilities() -> None:
    found: list[Any] = []
    fairlead_register_channels(found.append)
    assert [channel.manifest.name for channel in found] == ["taobao"]
    for protocol in (SyncsOrders, RefreshesCredentials, ReceivesWebhooks):
        assert isinstance(found[0], protocol)


def test_a_quiet_shop_is_read_whole_and_exact(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=120) as twin:
        context = account.context(twin.settings(page_size=7, window_minutes=60, **EXACT))
        orders = sync(context, account.now - 2 * DAY, account.now)
    assert states(orders) == Counter((tid, trade["modified"]) for tid, trade in twin.book.trades.items())
    for order in orders:
        trade = twin.book.trades[order.source_id]
        assert order.amount == to_fen(trade["payment"], "payment")
        assert sum(line.amount for line in order.lines) == to_fen(trade["total_fee"], "total_fee")
        assert order.identities[0].scope == twin.app_key
        assert bool(order.refund_amount) == (order.status == "refunded")
    assert {order.status for order in orders} == {"created", "paid", "shipped", "finished", "refunded", "closed"}
    assert sum(order.refund_amount for order in orders) == sum(
        to_fen(refund["refund_fee"], "refund_fee") for refund in twin.book.refunds.values()
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("with_total", [True, False])
def test_orders_that_move_between_pages_are_read_once_per_state(account: Any, seed: int, with_total: bool) -> None:
    """While the first sync pages, trades change and leave their window; the next sync finds the new states."""
    begin = account.now
    with TaobaoTwin(now=account.clock, seed=seed, orders=150, moves_per_page=3, with_total=with_total) as twin:
        before = dict.fromkeys((tid, trade["modified"]) for tid, trade in twin.book.trades.items())
        context = account.context(twin.settings(page_size=5, window_minutes=1440, **EXACT))
        first = sync(context, begin - 2 * DAY, begin)
        moved = {tid for tid, trade in twin.book.trades.items() if trade["modified"] == from_utc(begin)}
        assert len(moved) > 20
        # Whatever did not move was read in its one state; nothing that moved was read in its new one.
        read = states(first)
        assert set(read) <= set(before)
        assert {tid for tid, _ in before} - {tid for tid, _ in read} <= moved
        twin.moves_per_page = 0
        account.now = begin + dt.timedelta(minutes=10)
        second = sync(context, begin - SECOND, account.now)
    assert {order.source_id for order in second} == moved
    everything = states(first + second)
    assert set(everything.values()) == {1}
    assert {(tid, trade["modified"]) for tid, trade in twin.book.trades.items()} <= set(everything)
    assert set(everything) <= set(twin.book.history)


def test_reading_forward_would_lose_orders_at_this_twin(account: Any) -> None:
    """The twin is no easy one: the naive order of pages loses what the channel keeps."""
    with TaobaoTwin(now=account.clock, seed=1, orders=150, moves_per_page=3) as twin:
        context = account.context(twin.settings(page_size=5, **EXACT))
        span = {"start_modified": from_utc(account.now - DAY + SECOND), "end_modified": from_utc(account.now - SECOND)}
        seen: set[str] = set()
        for page in range(1, 31):
            params = {"fields": "tid", "page_no": str(page), "page_size": "5", **span}
            answer = call(context, LIST, params)
            seen |= {str(trade["tid"]) for trade in answer.get("trades", {}).get("trade", [])}
        still = {tid for tid, trade in twin.book.trades.items() if trade["modified"] < from_utc(account.now)}
    assert still - seen


def test_pages_are_asked_for_from_last_to_first_and_counted_once(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=23) as twin:
        context = account.context(twin.settings(page_size=10, window_minutes=1440, fetch_refunds=False, **EXACT))
        sync(context, account.now - DAY + 2 * SECOND, account.now)
    lists = [form for method, form in twin.calls if method == LIST]
    assert [(form["page_no"], form["use_has_next"]) for form in lists] == [
        ("1", "false"),
        ("3", "true"),
        ("2", "true"),
        ("1", "true"),
    ]
    assert len(twin.calls) == len(lists)
    assert all(value.strip() for form in lists for value in form.values())
    assert lists[0]["timestamp"] == "2026-03-08 12:00:00"


def test_details_are_read_where_the_list_has_none(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=20, with_lines=False) as twin:
        context = account.context(twin.settings(window_minutes=1440, **EXACT))
        orders = sync(context, account.now - 2 * DAY, account.now)
    assert len(orders) == 20
    assert all(order.lines for order in orders)
    assert sum(method == "taobao.trade.fullinfo.get" for method, _ in twin.calls) == 20


def test_a_vanished_detail_or_refund_and_a_broken_trade_do_not_stop_the_others(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=60) as twin:
        broken, *_ = twin.book.trades
        twin.book.trades[broken]["payment"] = "many"
        refunded = {tid for tid, trade in twin.book.trades.items() if trade["status"] == "TRADE_CLOSED"}
        twin.book.refunds.clear()
        context = account.context(twin.settings(window_minutes=1440, **EXACT))
        orders = sync(context, account.now - 2 * DAY, account.now)
    assert {order.source_id for order in orders} == set(twin.book.trades) - {broken}
    assert refunded
    given_back = {order.source_id: order.refund_amount for order in orders if order.refund_amount}
    # What the platform no longer tells is what was paid for the lines, never nothing: that would be revenue.
    assert given_back == {
        tid: sum(
            to_fen(line["divide_order_fee"], "divide_order_fee")
            for line in twin.book.trades[tid]["orders"]["order"]
            if line["refund_status"] == "SUCCESS"
        )
        for tid in refunded - {broken}
    }


def test_refunds_are_taken_from_the_lines_where_they_are_not_asked_for(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=60) as twin:
        exact = sync(account.context(twin.settings(window_minutes=1440, **EXACT)), account.now - DAY, account.now)
        frugal = account.context(twin.settings(window_minutes=1440, fetch_refunds=False, **EXACT))
        asked = len(twin.calls)
        found = sync(frugal, account.now - DAY, account.now)
        assert all(method != "taobao.refund.get" for method, _ in twin.calls[asked:])
    assert [order.refund_amount for order in found] == [order.refund_amount for order in exact]
    assert any(order.refund_amount for order in found)


@pytest.mark.parametrize(
    "said", [{"total_results": 10**15}, {"total_results": "9" * 5000}, {"has_next": True}], ids=["many", "huge", "ever"]
)
def test_a_platform_that_speaks_of_pages_without_end_is_left(
    account: Any, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    monkeypatch.setattr("fairlead_taobao.orders.MOST_PAGES", 30)
    http = FakeHttp(httpx2.Response(200, json={"trades_sold_increment_get_response": said}))
    with TaobaoTwin(now=account.clock) as twin:
        settings = twin.settings(window_minutes=1440, **EXACT)
    with pytest.raises(Abort, match="window_minutes"):
        sync(account.context(settings, http.client()), account.now - DAY, account.now)
    assert len(http.requests) <= 31


# -- windows --------------------------------------------------------------------------------------------------------

NOW = dt.datetime(2026, 3, 8, 4, 0, 0, 500_000, tzinfo=dt.UTC)


def settings(**changes: Any) -> TaobaoSettings:
    return TaobaoSettings.model_validate({"app_key": "1", "app_secret": "s", **changes})


@pytest.mark.parametrize("minutes", [1, 30, 1440])
def test_a_span_is_cut_without_gap_or_overlap(minutes: int) -> None:
    start = NOW - 3 * DAY
    cut = list(pieces(Window(start, NOW), settings(window_minutes=minutes), NOW))
    assert cut[0].start == start.replace(microsecond=0) + SECOND - dt.timedelta(seconds=300)
    assert cut[-1].end == NOW.replace(microsecond=0) - dt.timedelta(seconds=60)
    for earlier, later in pairwise(cut):
        assert earlier.end == later.start
    assert all(SECOND <= piece.end - piece.start < DAY for piece in cut)
    assert all(piece.end - piece.start <= dt.timedelta(minutes=minutes) for piece in cut)


def test_the_future_and_the_last_minute_are_left_for_later() -> None:
    assert list(pieces(Window(NOW, NOW + DAY), settings(), NOW)) != []
    assert list(pieces(Window(NOW, NOW + DAY), settings(overlap_seconds=0), NOW)) == []
    (only,) = pieces(Window(NOW - 90 * SECOND, NOW + DAY), settings(overlap_seconds=0), NOW)
    assert only.end == NOW.replace(microsecond=0) - 60 * SECOND


def test_an_overlap_that_would_leave_a_gap_is_refused() -> None:
    with pytest.raises(ValidationError):
        settings(overlap_seconds=30, settle_seconds=60)


def test_what_was_too_fresh_is_read_by_the_next_sync(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=40) as twin:
        tid = next(tid for tid, trade in twin.book.trades.items() if trade["status"] == "WAIT_BUYER_PAY")
        assert twin.book.advance(tid, account.now - 5 * SECOND)
        context = account.context(twin.settings())
        first, begin = sync(context, account.now - DAY, account.now), account.now
        account.now += dt.timedelta(minutes=5)
        second = sync(context, begin, account.now)
    assert tid not in {order.source_id for order in first}
    assert tid in {order.source_id for order in second}
