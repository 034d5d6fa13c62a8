"""The made-up order book of the replay twin: seeded, so that every run sees the same shop."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from fairlead_taobao.mapping import from_utc, to_utc

SECOND = dt.timedelta(seconds=1)
GOODS = ("真丝衬衫", "羊毛围巾", "亚麻长裤", "帆布包", "保温杯", "香薰蜡烛", "儿童雨衣", "登山鞋")
PROVINCES = ("浙江省", "广东省", "江苏省", "上海", "四川省", "北京")
NEXT = {
    "WAIT_BUYER_PAY": ("WAIT_SELLER_SEND_GOODS", "WAIT_SELLER_SEND_GOODS", "TRADE_CLOSED_BY_TAOBAO"),
    "WAIT_SELLER_SEND_GOODS": ("WAIT_BUYER_CONFIRM_GOODS", "WAIT_BUYER_CONFIRM_GOODS", "TRADE_CLOSED"),
    "WAIT_BUYER_CONFIRM_GOODS": ("TRADE_FINISHED", "TRADE_FINISHED", "TRADE_CLOSED"),
}


def yuan(fen: int) -> str:
    """Fen as the platform writes amounts: ``1230`` is ``"12.30"``."""
    return f"{fen // 100}.{fen % 100:02d}"


class OrderBook:
    """Trades in the platform's own form, by ``tid``; ``history`` holds every ``(tid, modified)`` there ever was."""

    def __init__(self, *, seed: int, count: int, start: dt.datetime, end: dt.datetime) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made-up data, repeatable
        self.trades: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, str]] = []
        span = int((end - start).total_seconds())
        for number in range(count):
            self._create(number, start + dt.timedelta(seconds=self._random.randrange(max(span, 1))))
        for tid in list(self.trades):
            for _ in range(self._random.randrange(4)):
                changed = to_utc(self.trades[tid]["modified"], "modified")
                later = changed + dt.timedelta(seconds=self._random.randrange(60, 7200))
                if later < end:
                    self.advance(tid, later)

    def _create(self, number: int, at: dt.datetime) -> None:
        tid = str(2_000_000_000_000 + number * 7919)
        lines: list[dict[str, Any]] = []
        goods_fee = 0
        for position in range(self._random.randrange(1, 4)):
            goods = self._random.randrange(len(GOODS))
            count = self._random.randrange(1, 4)
            fee = count * self._random.randrange(990, 39900)
            lines.append(
                {
                    "oid": int(tid) + position,
                    "title": GOODS[goods],
                    "outer_sku_id": f"SKU{goods:03d}",
                    "num_iid": 600_000 + goods,
                    "cid": 50_000_000 + goods,
                    "num": count,
                    "payment": yuan(fee),
                    "divide_order_fee": yuan(fee),
                    "refund_status": "NO_REFUND",
                }
            )
            goods_fee += fee
        post_fee = self._random.choice((0, 0, 600, 1000))
        self.trades[tid] = {
            "tid": int(tid),
            "status": "WAIT_BUYER_PAY",
            "created": from_utc(at),
            "modified": from_utc(at),
            "payment": yuan(goods_fee + post_fee),
            "total_fee": yuan(goods_fee),
            "post_fee": yuan(post_fee),
            "buyer_open_uid": f"AAF{self._random.randrange(1, 400):06d}",
            "receiver_state": self._random.choice(PROVINCES),
            "receiver_name": "张**",
            "orders": {"order": lines},
        }
        self.history.append((tid, from_utc(at)))

    def advance(self, tid: str, at: dt.datetime) -> bool:
        """Move a trade to a next status at ``at``; False when it has none or already changed in that second."""
        trade = self.trades[tid]
        following = NEXT.get(trade["status"])
        if following is None or trade["modified"] >= from_utc(at):
            return False
        trade["status"] = self._random.choice(following)
        trade["modified"] = from_utc(at)
        if trade["status"] == "WAIT_SELLER_SEND_GOODS":
            trade["pay_time"] = from_utc(at)
        if trade["status"] == "TRADE_CLOSED":
            for line in trade["orders"]["order"]:
                refund_id = str(line["oid"] + 500)
                line["refund_status"], line["refund_id"] = "SUCCESS", int(refund_id)
                self.refunds[refund_id] = {
                    "refund_id": int(refund_id),
                    "refund_fee": line["divide_order_fee"],
                    "status": "SUCCESS",
                }
        self.history.append((tid, from_utc(at)))
        return True

    def disturb(self, count: int, at: dt.datetime) -> int:
        """Move up to ``count`` random trades at ``at``, as buyers and sellers do during a sync; how many moved."""
        unfinished = [tid for tid, trade in self.trades.items() if trade["status"] in NEXT]
        chosen = self._random.sample(unfinished, min(count, len(unfinished)))
        return sum(self.advance(tid, at) for tid in chosen)

    def changed(self, start: str, end: str) -> list[dict[str, Any]]:
        """Trades last changed in ``start .. end`` (both inclusive, platform text), newest first."""
        found = [trade for trade in self.trades.values() if start <= trade["modified"] <= end]
        return sorted(found, key=lambda trade: (trade["modified"], trade["tid"]), reverse=True)


def visible(trade: dict[str, Any], fields: str) -> dict[str, Any]:
    """Only the ``fields`` asked for, as the platform answers."""
    wanted = set(fields.replace(" ", "").split(","))
    return {name: value for name, value in trade.items() if name in wanted}
