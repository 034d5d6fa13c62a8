"""Between TOP's trades and Fairlead's orders.

========================  ==========================================================================================
Fairlead status           TOP statuses
========================  ==========================================================================================
created                   TRADE_NO_CREATE_PAY, WAIT_BUYER_PAY, PAY_PENDING, WAIT_PRE_AUTH_CONFIRM
paid                      WAIT_SELLER_SEND_GOODS, PAID_FORBID_CONSIGN
shipped                   SELLER_CONSIGNED_PART, WAIT_BUYER_CONFIRM_GOODS, TRADE_BUYER_SIGNED
finished                  TRADE_FINISHED
refunded                  TRADE_CLOSED (closed after payment, by a full refund)
closed                    TRADE_CLOSED_BY_TAOBAO (closed before payment)
other                     any status that is not in this table
========================  ==========================================================================================

The platform's own status stays in ``properties["platform_status"]``. Names, phones and addresses of receivers are
masked by the platform and are not asked for; a person is known by ``buyer_open_uid`` alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from fairlead.plugins.contracts.channel import IdentityClaim, OrderLineRecord, OrderRecord
from fairlead_taobao.client import CHINA

FIELDS = (
    "tid,status,created,modified,pay_time,end_time,payment,total_fee,post_fee,discount_fee,buyer_open_uid,"
    "receiver_state,trade_from,type,orders"
)
STATUSES: Mapping[str, str] = {
    "TRADE_NO_CREATE_PAY": "created",
    "WAIT_BUYER_PAY": "created",
    "PAY_PENDING": "created",
    "WAIT_PRE_AUTH_CONFIRM": "created",
    "WAIT_SELLER_SEND_GOODS": "paid",
    "PAID_FORBID_CONSIGN": "paid",
    "SELLER_CONSIGNED_PART": "shipped",
    "WAIT_BUYER_CONFIRM_GOODS": "shipped",
    "TRADE_BUYER_SIGNED": "shipped",
    "TRADE_FINISHED": "finished",
    "TRADE_CLOSED": "refunded",
    "TRADE_CLOSED_BY_TAOBAO": "closed",
}


class BadTrade(ValueError):
    """A trade that cannot be understood; the message names the field, not its value."""


def to_fen(value: object, field: str) -> int:
    """Yuan as a decimal string (``"12.30"``) in fen (1230); blank is 0. Raises :class:`BadTrade`."""
    text = str(value if value is not None else "").strip()
    if not text:
        return 0
    try:
        fen = Decimal(text).scaleb(2)
        whole = fen.to_integral_value()
    except InvalidOperation as error:
        raise BadTrade(f"{field} is not an amount") from error
    if not fen.is_finite() or fen != whole or not 0 <= whole < 10**15:
        raise BadTrade(f"{field} is not an amount of whole fen")
    return int(whole)


def to_utc(value: object, field: str) -> dt.datetime:
    """``yyyy-MM-dd HH:mm:ss`` in GMT+8 as an aware datetime in UTC. Raises :class:`BadTrade`."""
    try:
        local = dt.datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError as error:
        raise BadTrade(f"{field} is not a time") from error
    return local.astimezone(dt.UTC)


def from_utc(at: dt.datetime) -> str:
    """An aware datetime as TOP writes it."""
    return at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def lines_of(trade: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """The sub-orders (``orders.order``); None when the answer left them out."""
    orders = trade.get("orders")
    lines = orders.get("order") if isinstance(orders, dict) else orders
    if not isinstance(lines, list):
        return None
    return [line for line in lines if isinstance(line, dict)]


def finished_refunds(trade: Mapping[str, Any]) -> Mapping[str, int]:
    """The refunds of this trade that went through, by id, with what was paid for their lines in fen.

    Lines whose refund has no id are under the empty one. Raises :class:`BadTrade`.
    """
    found: dict[str, int] = {}
    for line in lines_of(trade) or ():
        if line.get("refund_status") == "SUCCESS":
            refund_id = str(line.get("refund_id") or "")
            found[refund_id] = found.get(refund_id, 0) + _paid_for(line)
    return found


def to_order(trade: Mapping[str, Any], *, app_key: str, refund_amount: int | None = None) -> OrderRecord:
    """One trade as an order. Raises :class:`BadTrade`.

    ``refund_amount`` is in fen; without it, what was paid for the refunded lines counts as given back, and the whole
    payment where a closed trade does not say which lines those are.
    """
    tid = str(trade.get("tid") or "").strip()
    if not tid:
        raise BadTrade("tid is missing")
    platform_status = str(trade.get("status") or "")
    status = STATUSES.get(platform_status, "other")
    paid_at = to_utc(trade["pay_time"], "pay_time") if trade.get("pay_time") else None
    amount = to_fen(trade.get("payment"), "payment")
    buyer = str(trade.get("buyer_open_uid") or "").strip()
    region = str(trade.get("receiver_state") or "").strip()
    lines = lines_of(trade) or ()
    paid = amount if paid_at else 0
    given_back = sum(finished_refunds(trade).values()) if refund_amount is None else refund_amount
    if status == "refunded" and not given_back:
        given_back = paid
    return OrderRecord(
        source_id=tid,
        created_at=to_utc(trade.get("created"), "created"),
        updated_at=to_utc(trade.get("modified"), "modified"),
        status=status,
        currency="CNY",
        amount=amount,
        paid_amount=paid,
        refund_amount=given_back,
        paid_at=paid_at,
        region="" if "*" in region else region,
        identities=() if not buyer or "*" in buyer else (IdentityClaim("taobao_open_uid", buyer, scope=app_key),),
        lines=tuple(_to_line(line) for line in lines),
        properties={
            "platform_status": platform_status,
            "goods_fee": to_fen(trade.get("total_fee"), "total_fee"),
            "post_fee": to_fen(trade.get("post_fee"), "post_fee"),
            "refund_pending": any(
                str(line.get("refund_status") or "NO_REFUND") not in ("NO_REFUND", "CLOSED", "SUCCESS")
                for line in lines
            ),
        },
    )


def _to_line(line: Mapping[str, Any]) -> OrderLineRecord:
    count = str(line.get("num") or "1")
    if not count.isdecimal() or len(count) > 9:
        raise BadTrade("num is not a count")
    return OrderLineRecord(
        sku=str(line.get("outer_sku_id") or line.get("sku_id") or line.get("num_iid") or ""),
        title=str(line.get("title") or ""),
        quantity=int(count),
        amount=_paid_for(line),
        category=str(line.get("cid") or ""),
    )


def _paid_for(line: Mapping[str, Any]) -> int:
    """What the buyer paid for a line: after the order's discounts where the platform says it, else before them."""
    paid = next((line[name] for name in ("divide_order_fee", "payment", "total_fee") if line.get(name)), None)
    return to_fen(paid, "divide_order_fee")
