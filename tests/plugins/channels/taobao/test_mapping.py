"""Trades become orders without losing a fen or an hour."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fairlead.plugins.contracts.channel import IdentityClaim
from fairlead_taobao.mapping import STATUSES, BadTrade, finished_refunds, to_fen, to_order, to_utc

TRADE: dict[str, Any] = {
    "tid": 2000000000001,
    "status": "WAIT_SELLER_SEND_GOODS",
    "created": "2026-03-08 00:00:00",
    "modified": "2026-03-08 07:59:59",
    "pay_time": "2026-03-08 00:01:00",
    "payment": "108.10",
    "total_fee": "118.10",
    "post_fee": "0.00",
    "buyer_open_uid": "AAF000001",
    "receiver_state": "浙江省",
    "orders": {
        "order": [
            {
                "outer_sku_id": "A-1",
                "title": "围巾",
                "num": 2,
                "divide_order_fee": "100.10",
                "payment": "110.10",
                "cid": 5,
            },
            {"num_iid": 77, "title": "帽子", "num": "1", "payment": "8", "refund_status": "WAIT_SELLER_AGREE"},
        ]
    },
}


def test_a_trade_becomes_an_order() -> None:
    order = to_order(TRADE, app_key="app", refund_amount=5)
    assert order.source_id == "2000000000001"
    assert order.created_at == dt.datetime(2026, 3, 7, 16, 0, tzinfo=dt.UTC)
    assert order.updated_at == dt.datetime(2026, 3, 7, 23, 59, 59, tzinfo=dt.UTC)
    assert order.paid_at == dt.datetime(2026, 3, 7, 16, 1, tzinfo=dt.UTC)
    assert (order.status, order.currency, order.amount, order.paid_amount) == ("paid", "CNY", 10810, 10810)
    assert order.refund_amount == 5
    assert order.region == "浙江省"
    assert order.identities == (IdentityClaim("taobao_open_uid", "AAF000001", "app"),)
    assert [(line.sku, line.quantity, line.amount, line.category) for line in order.lines] == [
        ("A-1", 2, 10010, "5"),
        ("77", 1, 800, ""),
    ]
    assert order.properties == {
        "platform_status": "WAIT_SELLER_SEND_GOODS",
        "goods_fee": 11810,
        "post_fee": 0,
        "refund_pending": True,
    }


def test_unpaid_is_not_paid_and_masked_is_not_known() -> None:
    trade = {**TRADE, "pay_time": "", "buyer_open_uid": "A**1", "receiver_state": "浙**", "status": "SOMETHING_NEW"}
    order = to_order(trade, app_key="app")
    assert (order.paid_amount, order.paid_at, order.identities, order.region) == (0, None, (), "")
    assert order.status == "other"
    assert order.properties["platform_status"] == "SOMETHING_NEW"


def test_the_documented_statuses() -> None:
    assert set(STATUSES.values()) == {"created", "paid", "shipped", "finished", "refunded", "closed"}
    assert to_order({**TRADE, "status": "TRADE_CLOSED"}, app_key="a").status == "refunded"
    assert to_order({**TRADE, "status": "TRADE_CLOSED_BY_TAOBAO"}, app_key="a").status == "closed"


@pytest.mark.parametrize(
    ("text", "fen"),
    [("0.29", 29), ("1.1", 110), ("8", 800), ("", 0), (None, 0), (12.5, 1250), ("90071992547409.93", 9007199254740993)],
)
def test_yuan_to_fen(text: object, fen: int) -> None:
    if fen >= 10**15:
        with pytest.raises(BadTrade):
            to_fen(text, "payment")
    else:
        assert to_fen(text, "payment") == fen


@pytest.mark.parametrize("text", ["1.234", "-1", "NaN", "Infinity", "1e400", "十元", "1,000.00", "9" * 5000])
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(BadTrade) as caught:
        to_fen(text, "payment")
    assert text not in str(caught.value)


@pytest.mark.parametrize("field", ["tid", "created", "modified"])
def test_what_every_trade_has(field: str) -> None:
    with pytest.raises(BadTrade, match=field):
        to_order({**TRADE, field: None}, app_key="a")


def test_times_are_read_in_china() -> None:
    assert to_utc("2026-01-01 07:59:59", "x") == dt.datetime(2025, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


def test_refunds_that_went_through_count_once() -> None:
    lines = [
        {"refund_id": 1, "refund_status": "SUCCESS", "payment": "1.50"},
        {"refund_id": 1, "refund_status": "SUCCESS", "divide_order_fee": "2", "payment": "3"},
        {"refund_id": 2, "refund_status": "CLOSED", "payment": "9"},
        {"refund_id": None, "refund_status": "SUCCESS", "payment": "0.01"},
        {"refund_id": 3, "refund_status": "SUCCESS"},
    ]
    trade = {"orders": {"order": lines}}
    assert finished_refunds(trade) == {"1": 350, "": 1, "3": 0}
    assert to_order({**TRADE, **trade}, app_key="app").refund_amount == 351


def test_a_trade_closed_after_payment_was_given_back_whole() -> None:
    closed = {**TRADE, "status": "TRADE_CLOSED"}
    order = to_order(closed, app_key="app")
    assert order.paid_amount > 0
    assert order.refund_amount == order.paid_amount
    assert to_order(closed, app_key="app", refund_amount=5).refund_amount == 5
    assert to_order({**closed, "pay_time": None}, app_key="app").refund_amount == 0
