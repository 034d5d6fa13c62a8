"""The demonstration on the generated sample: one brand on three islands, one customer, mail that really leaves.

The e-mail goes through the real channel plugin to a mail server of its own on this machine, which only keeps what it
gets. A second, smaller client with other plugins shows that clients see nothing of each other.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairlead.audiences.scores import run_scoring
from fairlead.customers.blocking import block_identity
from fairlead.demo.public_data import MODELS
from fairlead.demo.sample import SampleSummary, write_sample
from fairlead.demo.stage import Stage
from fairlead.messaging.templates import save_template

MAILS = "mails.jsonl"
SHOP, BRAND = "mingqian-tea", "northwind"
SHOP_PLUGINS = ("email", "console", "taobao", "weighted", *MODELS)
BRAND_PLUGINS = ("console", "last_touch", "linear")
DEPOSIT = {"交易成功": "finished", "等待买家付款": "created", "交易关闭": "closed"}
TMALL_REGION = {"receiver_region": "收货省份"}


def _identity(kind: str, column: str, when: tuple[str, str] | None = None, scope: str = "") -> dict[str, Any]:
    return {"kind": kind, "column": column, "scope": scope} | ({"when": list(when)} if when else {})


MAPPINGS: dict[str, dict[str, Any]] = {
    "members.csv": {
        "fact": "profiles",
        "source": "members",
        "channel": {"constant": "pos"},
        "name": "姓名",
        "gender": {"column": "性别"},
        "birth_date": "生日",
        "identities": [
            _identity("member", "会员卡号"),
            _identity("phone", "手机号"),
            _identity("email", "邮箱"),
            _identity("wechat_openid", "微信openid"),
        ],
        "properties": {"province": "省份", "city": "城市"},
        "dates": {"joined": "入会时间"},
        "source_id": ["会员卡号"],
    },
    "tmall_orders.csv": {
        "fact": "orders",
        "source": "tmall_orders",
        "channel": {"constant": "tmall"},
        "order_id": "订单编号",
        "placed_at": "订单创建时间",
        "paid_at": "订单付款时间",
        "status": {"column": "订单状态", "values": DEPOSIT},
        "amount": "总金额",
        "paid_amount": "买家实际支付金额",
        "refund_amount": "退款金额",
        "receiver_region": "收货省份",
        "receiver_name": "收货人姓名",
        "item": "商家编码",
        "item_title": "宝贝标题",
        "quantity": "宝贝总数量",
        "identities": [
            _identity("tmall_user", "买家会员名"),
            _identity("phone", "联系手机"),
            _identity("email", "买家邮箱"),
        ],
    },
    "wechat_orders.csv": {
        "fact": "orders",
        "source": "wechat_orders",
        "channel": {"constant": "wechat"},
        "order_id": "order_no",
        "placed_at": "created_at",
        "paid_at": "paid_at",
        "status": {"column": "status", "values": {"completed": "finished", "unpaid": "created", "cancelled": "closed"}},
        "money": "minor",
        "amount": "amount_fen",
        "paid_amount": "paid_fen",
        "receiver_region": "province",
        "receiver_name": "receiver",
        "item": "sku",
        "quantity": "quantity",
        "identities": [
            _identity("wechat_openid", "openid"),
            _identity("phone", "phone"),
            _identity("email", "invoice_email"),
        ],
    },
    "pos_orders.csv": {
        "fact": "orders",
        "source": "pos_orders",
        "channel": {"constant": "pos"},
        "order_id": "小票号",
        "placed_at": "交易时间",
        "paid_at": "交易时间",
        "status": {"constant": "finished"},
        "amount": "应收金额",
        "paid_amount": "实收金额",
        "item": "商品编码",
        "quantity": "数量",
        "identities": [_identity("member", "会员卡号"), _identity("phone", "手机号")],
        "properties": {"shop": "门店"},
    },
    "refunds.csv": {
        "fact": "refunds",
        "source": "refunds",
        "channel": {"column": "source"},
        "order_id": "order_no",
        "at": "refunded_at",
        "money": "minor",
        "amount": "amount_fen",
        "source_id": ["refund_no"],
    },
    "app_events.csv": {
        "fact": "events",
        "source": "app",
        "channel": {"constant": "app"},
        "type": {"column": "event_type"},
        "at": "occurred_at",
        "zone": "UTC",
        "item": "sku",
        "identities": [
            _identity("app_user", "user_id"),
            _identity("phone", "phone"),
            _identity("email", "email"),
            _identity("wechat_openid", "openid"),
            _identity("device", "device_id"),
        ],
        "source_id": ["event_id"],
    },
    "touches.csv": {
        "fact": "touches",
        "source": "touches",
        "channel": {"column": "channel"},
        "kind": {"column": "interaction"},
        "at": "occurred_at",
        "zone": "UTC",
        "campaign": "campaign",
        "identities": [
            _identity("phone", "identity_value", ("identity_kind", "phone")),
            _identity("email", "identity_value", ("identity_kind", "email")),
            _identity("wechat_openid", "identity_value", ("identity_kind", "openid")),
            _identity("device", "identity_value", ("identity_kind", "device")),
        ],
        "source_id": ["touch_id"],
    },
    "consents.csv": {
        "fact": "consents",
        "source": "consents",
        "channel": {"constant": "shop"},
        "at": "occurred_at",
        "zone": "UTC",
        "purpose": {"column": "purpose"},
        "consent_channel": {"column": "channel"},
        "state": {"column": "action"},
        "identities": [
            _identity("phone", "identity_value", ("identity_kind", "phone")),
            _identity("email", "identity_value", ("identity_kind", "email")),
            _identity("wechat_openid", "identity_value", ("identity_kind", "openid")),
        ],
        "properties": {"source": "source"},
        "source_id": ["consent_id"],
    },
}
CART_NOT_BOUGHT = {
    "all": [
        {"fact": {"type": "cart", "window": {"within_days": 60}}},
        {
            "none": [
                {
                    "order": {
                        "window": {"within_days": 60},
                        "where": [{"field": "status", "op": "in", "value": ["paid", "finished"]}],
                    }
                }
            ]
        },
    ]
}
BUYERS = {"order": {"where": [{"field": "status", "op": "in", "value": ["paid", "finished", "refunded"]}]}}
GRAPH = {
    "nodes": [
        {"id": "start", "kind": "trigger_segment", "title": "加购未购买", "settings": {"segment": "cart_not_bought"}},
        {"id": "think", "kind": "wait", "settings": {"hours": 1}},
        {"id": "by_mail", "kind": "condition", "settings": {"rule": {"identity": {"kind": "email"}}}},
        {"id": "remind", "kind": "send", "settings": {"account": "mail", "template": "cart_reminder"}},
        {
            "id": "bought",
            "kind": "goal",
            "settings": {"rule": {"order": {"window": {"within_days": 3}}}, "days": 2, "every_minutes": 720},
        },
        {"id": "end", "kind": "exit"},
    ],
    "edges": [
        {"source": "start", "target": "think"},
        {"source": "think", "target": "by_mail"},
        {"source": "by_mail", "outlet": "yes", "target": "remind"},
        {"source": "by_mail", "outlet": "no", "target": "end"},
        {"source": "remind", "target": "bought"},
        {"source": "bought", "outlet": "reached", "target": "end"},
        {"source": "bought", "outlet": "missed", "target": "end"},
    ],
}
SUBJECT = "{{ profile.name | default: '朋友' }},购物车里的茶还在等您"
TEXT = """{{ profile.name | default: '您好' }}:

您加入购物车的明前茶还有货,现在下单 48 小时内发出。

退订请点击: {{ unsubscribe_url }}
"""


def run_sample_shop(stage: Stage) -> dict[str, Any]:
    """Play it; the answer is the result to show."""
    folder = stage.folder / "sample"
    sample = write_sample(folder)
    stage.add_client(SHOP, "明前茶铺", SHOP_PLUGINS, zone="Asia/Shanghai", currency="CNY")
    stage.add_client(BRAND, "Northwind", BRAND_PLUGINS, zone="Europe/London", currency="CNY")
    imports = _import_all(stage, SHOP, folder, sample)
    small = write_sample(stage.folder / "small", people=300, seed=7)
    _import_all(stage, BRAND, stage.folder / "small", small)
    buyers = stage.segment(SHOP, "buyers", "买家", BUYERS)
    cart = stage.segment(SHOP, "cart_not_bought", "加购未购买", CART_NOT_BOUGHT)
    with stage.runtime.work(SHOP) as work:
        save_template(work, "cart_reminder", subject=SUBJECT, text=TEXT)
    port = stage.helpers.enter_context(_mail_server(stage.folder / MAILS))
    stage.connect(
        SHOP,
        "email",
        "mail",
        {
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "allow_unencrypted": True,
            "from_address": "shop@mingqian.example",
        },
        platform="email",
        account_type="mailbox",
    )
    version = stage.journey(SHOP, "cart_reminder", "加购未付款提醒", GRAPH)
    stage.live(SHOP, hours=60, step=12)
    received = _mails(stage.folder / MAILS)
    with stage.runtime.work(SHOP) as work:
        scores = run_scoring(work, "weighted", {})
    shop, brand = stage.counts(SHOP), stage.counts(BRAND)
    question = {"conversion": "order", "lookback_days": 30}
    return {
        "data": "generated",
        **shop,
        **imports,
        "buyers": buyers,
        "cart_not_bought": cart,
        "segments": {"buyers": buyers, "cart_not_bought": cart},
        **stage.order_totals(SHOP),
        **stage.credits(SHOP, question, MODELS),
        "journey": stage.journey_counts(SHOP, version),
        **stage.messages(SHOP),
        "mails_received": received,
        "profiles_scored": scores.profiles,
        "clients": {SHOP: {**shop, "plugins": len(SHOP_PLUGINS)}, BRAND: {**brand, "plugins": len(BRAND_PLUGINS)}},
    }


def _import_all(stage: Stage, client: str, folder: Path, sample: SampleSummary) -> dict[str, int]:
    with stage.runtime.work(client) as work:
        block_identity(work, "phone", sample.shop_phone, "the shop's own number")
    summaries = [stage.bring_in(client, folder / name, mapping) for name, mapping in MAPPINGS.items()]
    return {
        "rows_read": sum(summary.read for summary in summaries),
        "rows_rejected": sum(summary.rejected for summary in summaries),
        "rows_known": sum(summary.known for summary in summaries),
        "profiles_merged": sum(summary.profiles_merged for summary in summaries),
    }


@contextlib.contextmanager
def _mail_server(store: Path) -> Iterator[int]:
    """The e-mail plugin's own twin in a process of its own: it takes every mail and keeps it in a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "fairlead_email.twin", "--port", str(port), "--store", str(store)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own module
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _mails(file: Path) -> int:
    return sum(1 for _ in file.open(encoding="utf-8")) if file.exists() else 0
