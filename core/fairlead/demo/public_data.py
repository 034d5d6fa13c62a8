"""The demonstration on public data sets: Taobao behaviour and Tmall orders of one client, ad touches of another.

``cart_not_bought`` holds whoever has at least one ``cart`` event and no ``buy`` event in the whole file. The file knows
no consents, so they are made up by rule: a user whose number leaves 0 when divided by 5 withdrew, 1 never said
anything, all others agreed.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

from fairlead.demo.stage import Stage
from fairlead.messaging.templates import save_template

SHOP, BRAND = "taobao-shop", "northwind"
SHOP_PLUGINS = ("taobao", "console", "weighted", "last_touch", "first_touch", "linear")
BRAND_PLUGINS = (
    "email",
    "webhook",
    "last_touch",
    "first_touch",
    "linear",
    "time_decay",
    "position",
    "markov",
    "shapley",
)
MODELS: dict[str, dict[str, Any]] = {
    "last_touch": {},
    "first_touch": {},
    "linear": {},
    "time_decay": {},
    "position": {},
    "markov": {},
    "shapley": {},
}
BEHAVIOUR = {
    "fact": "events",
    "source": "taobao_behaviour",
    "channel": {"constant": "taobao"},
    "type": {"column": "behavior_type", "values": {"pv": "view", "fav": "favourite"}},
    "at": "timestamp",
    "time_format": "epoch_seconds",
    "item": "item_id",
    "category": "category_id",
    "identities": [{"kind": "taobao_user", "column": "user_id"}],
    "source_id": ["user_id", "item_id", "category_id", "behavior_type", "timestamp"],
}
ORDERS = {
    "fact": "orders",
    "source": "tmall_report",
    "channel": {"constant": "tmall"},
    "order_id": "订单编号",
    "placed_at": "订单创建时间",
    "paid_at": "订单付款时间",
    "amount": "总金额",
    "paid_amount": "买家实际支付金额",
    "refund_amount": "退款金额",
    "receiver_region": "收货地址",
}
TOUCHES = {
    "fact": "touches",
    "source": "ad_log",
    "channel": {"column": "channel"},
    "kind": {"column": "interaction"},
    "at": "time",
    "zone": "UTC",
    "identities": [{"kind": "member", "column": "customer_id"}],
    "conversion": {"column": "conversion", "equals": ["1"], "event": "conversion", "amount": "conversion_value"},
}
CONSENTS = {
    "fact": "consents",
    "source": "made_up_consents",
    "channel": {"constant": "taobao"},
    "at": "at",
    "purpose": {"constant": "marketing"},
    "state": {"column": "state"},
    "identities": [{"kind": "taobao_user", "column": "user_id"}],
}
CART_NOT_BOUGHT = {"all": [{"fact": {"type": "cart"}}, {"none": [{"fact": {"type": "buy"}}]}]}
GRAPH = {
    "nodes": [
        {"id": "start", "kind": "trigger_segment", "settings": {"segment": "cart_not_bought"}},
        {"id": "think", "kind": "wait", "settings": {"hours": 1}},
        {
            "id": "keen",
            "kind": "condition",
            "settings": {
                "rule": {"fact": {"type": "cart", "aggregate": {"function": "count", "op": "gte", "value": 2}}}
            },
        },
        {"id": "remind", "kind": "send", "settings": {"account": "站内消息", "template": "cart_reminder"}},
        {
            "id": "bought",
            "kind": "goal",
            "settings": {
                "rule": {"fact": {"type": "buy", "window": {"within_days": 3}}},
                "days": 2,
                "every_minutes": 720,
            },
        },
        {"id": "end", "kind": "exit"},
    ],
    "edges": [
        {"source": "start", "target": "think"},
        {"source": "think", "target": "keen"},
        {"source": "keen", "outlet": "yes", "target": "remind"},
        {"source": "keen", "outlet": "no", "target": "end"},
        {"source": "remind", "target": "bought"},
        {"source": "bought", "outlet": "reached", "target": "end"},
        {"source": "bought", "outlet": "missed", "target": "end"},
    ],
}


def run_public_data(stage: Stage, data: Path) -> dict[str, Any]:
    """Play it; the answer is the result to show."""
    behaviour = data / "taobao_user_behavior" / "user_behavior_814_users.csv.gz"
    stage.add_client(SHOP, "淘宝旗舰店", SHOP_PLUGINS, zone="Asia/Shanghai", currency="CNY")
    stage.add_client(BRAND, "Northwind", BRAND_PLUGINS, zone="Europe/London", currency="USD")
    stage.bring_in(SHOP, behaviour, BEHAVIOUR)
    stage.bring_in(SHOP, data / "tmall_orders" / "tmall_order_report.csv.gz", ORDERS)
    stage.bring_in(SHOP, _write_consents(behaviour, stage.folder / "consents.csv"), CONSENTS)
    stage.bring_in(BRAND, data / "attribution_touchpoints" / "touchpoints.csv.gz", TOUCHES)

    buyers = stage.segment(SHOP, "buyers", "买家", {"fact": {"type": "buy"}})
    cart = stage.segment(SHOP, "cart_not_bought", "加购未购买", CART_NOT_BOUGHT)
    stage.connect(
        SHOP,
        "console",
        "站内消息",
        {"path": str((stage.folder / "messages.jsonl").resolve())},
        platform="taobao",
        account_type="shop",
    )
    with stage.runtime.work(SHOP) as work:
        save_template(
            work, "cart_reminder", subject="购物车提醒", text="您购物车里的宝贝还在等您。退订: {{ unsubscribe_url }}"
        )
    version = stage.journey(SHOP, "cart_reminder", "加购未付款提醒", GRAPH)
    stage.live(SHOP, hours=60, step=12)

    shop, brand = stage.counts(SHOP), stage.counts(BRAND)
    attribution = stage.credits(BRAND, {"conversion": "conversion"}, MODELS)
    return {
        "data": "public",
        "events": shop["events"],
        "profiles": shop["profiles"],
        "buyers": buyers,
        "cart_not_bought": cart,
        "segments": {"buyers": buyers, "cart_not_bought": cart},
        "orders": shop["orders"],
        **stage.order_totals(SHOP),
        "touches": brand["touches"],
        **attribution,
        "journey": stage.journey_counts(SHOP, version),
        **stage.messages(SHOP),
        "clients": {SHOP: {**shop, "plugins": len(SHOP_PLUGINS)}, BRAND: {**brand, "plugins": len(BRAND_PLUGINS)}},
    }


def _write_consents(behaviour: Path, target: Path) -> Path:
    """The made-up consents, by the rule in the module's docstring."""
    with gzip.open(behaviour, "rt", encoding="utf-8", newline="") as source:
        users = dict.fromkeys(row["user_id"] for row in csv.DictReader(source))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user_id", "state", "at"))
        for user in users:
            if int(user) % 5 != 1:
                writer.writerow((user, "withdrawn" if int(user) % 5 == 0 else "granted", "2017-11-24 09:00:00"))
    return target
