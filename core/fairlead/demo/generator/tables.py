"""The export formats: one clean table per file, written the way each island writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fairlead.demo.generator.activity import AppEvent, ConsentStep, Touch
from fairlead.demo.generator.dice import FIRST_SECOND, Dice, iso_local, iso_utc, local
from fairlead.demo.generator.orders import Order
from fairlead.demo.generator.people import Person


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one line, whose they are (``""`` for nobody), the facts in it, and whether other files rely on it.

    ``facts`` counts by name (``orders``, ``paid_fen`` and so on): what a correct import of this row adds.
    """

    values: tuple[str, ...]
    person: str
    facts: Mapping[str, int]
    relied_on: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One file before dirt. The named columns tell the dirt where each kind of fault can sit."""

    name: str
    header: tuple[str, ...]
    rows: list[Row]
    required: str
    moment: str
    amount: str = ""
    phone: str = ""
    encoding: str = "utf-8"
    line_end: str = "\n"


def yuan(fen: int) -> str:
    """Fen as yuan with two places."""
    return f"{fen // 100}.{fen % 100:02d}"


def phone_as_typed(phone: str, dice: Dice) -> str:
    """The number as people and clerks type it: one in seven with a country code, blanks or hyphens."""
    if not phone or dice.chance(0.86):
        return phone
    head, middle, tail = phone[:3], phone[3:7], phone[7:]
    spaced = f"{head} {middle} {tail}"
    return dice.one_of((f"+86{phone}", f"86{phone}", spaced, f"{head}-{middle}-{tail}", f"+86 {spaced}"))


def email_as_typed(email: str, dice: Dice) -> str:
    """The address as people type it: one in six with capitals."""
    if not email or dice.chance(0.83):
        return email
    return email.title() if dice.chance(0.7) else email.upper()


def order_facts(order: Order) -> dict[str, int]:
    """What one order row adds, refunds apart."""
    return {"orders": 1, "orders_paid": int(bool(order.paid_at)), "total_fen": order.total, "paid_fen": order.paid}


def tmall_table(orders: list[Order], dice: Dice) -> Table:
    """The seller centre's order export: GBK, CRLF, Chinese headers, full province names, refund in a column."""
    header = (
        "订单编号", "买家会员名", "买家邮箱", "收货人姓名", "联系手机", "收货省份", "收货城市", "宝贝标题", "商家编码",
        "宝贝总数量", "总金额", "买家实际支付金额", "订单状态", "订单创建时间", "订单付款时间", "退款金额",
    )  # fmt: skip
    states = {"done": "交易成功", "unpaid": "等待买家付款", "cancelled": "交易关闭"}
    rows = []
    for order in orders:
        person = order.person
        if order.island != "tmall" or person is None:
            continue
        email = email_as_typed(person.email, dice) if dice.chance(0.65) else ""
        phone = person.second_phone if person.second_phone and dice.chance(0.5) else person.phone
        values = (
            order.number, person.tmall_nick, email, person.name, phone_as_typed(phone, dice),
            person.province, person.city, order.title, order.sku, str(order.quantity), yuan(order.total),
            yuan(order.paid), states[order.fate], local(order.created),
            local(order.paid_at) if order.paid_at else "", yuan(order.refund),
        )  # fmt: skip
        refunds = {"refunds": int(bool(order.refund)), "refund_fen": order.refund}
        rows.append(Row(values, person.key, order_facts(order) | refunds))
    return Table("tmall_orders.csv", header, rows, "订单编号", "订单创建时间", "总金额", "联系手机", "gb18030", "\r\n")


def wechat_table(orders: list[Order], dice: Dice) -> Table:
    """The mini-program's order export: UTF-8 with BOM, amounts in fen, times with offset, short province names."""
    header = (
        "order_no", "openid", "phone", "invoice_email", "receiver", "province", "city", "sku", "quantity",
        "amount_fen", "paid_fen", "status", "created_at", "paid_at",
    )  # fmt: skip
    states = {"done": "completed", "unpaid": "unpaid", "cancelled": "cancelled"}
    rows = []
    for order in orders:
        person = order.person
        if order.island != "wechat" or person is None:
            continue
        values = (
            order.number, person.openid, phone_as_typed(person.phone, dice) if dice.chance(0.88) else "",
            email_as_typed(person.email, dice) if dice.chance(0.2) else "", person.name, person.province_short,
            person.city, order.sku, str(order.quantity), str(order.total), str(order.paid), states[order.fate],
            iso_local(order.created), iso_local(order.paid_at) if order.paid_at else "",
        )  # fmt: skip
        rows.append(Row(values, person.key, order_facts(order), relied_on=bool(order.refund)))
    return Table("wechat_orders.csv", header, rows, "order_no", "created_at", "amount_fen", "phone", "utf-8-sig")


def till_table(orders: list[Order], shop_phone: str, dice: Dice) -> Table:
    """The till's day list: UTF-8, dates with slashes to the minute, the shop's phone where a clerk was in haste."""
    header = ("小票号", "门店", "会员卡号", "手机号", "商品编码", "数量", "应收金额", "实收金额", "交易时间")
    rows = []
    for order in orders:
        if order.island != "till":
            continue
        person, card, phone, owner = order.person, "", shop_phone, ""
        if person is not None:
            card = person.card_no
            phone = shop_phone if order.at_shop_phone else person.phone if dice.chance(0.8) else ""
            owner = person.key if card or phone not in ("", shop_phone) else ""
        values = (
            order.number, order.shop, card, phone_as_typed(phone, dice), order.sku, str(order.quantity),
            yuan(order.total), yuan(order.paid), local(order.created, "%Y/%m/%d %H:%M"),
        )  # fmt: skip
        rows.append(Row(values, owner, order_facts(order), relied_on=bool(order.refund)))
    return Table("pos_orders.csv", header, rows, "小票号", "交易时间", "应收金额", "手机号")


def refund_table(orders: list[Order], dice: Dice) -> Table:
    """Refunds of the mini-program and the till; those of Tmall are in its own export and are not repeated here."""
    header = ("refund_no", "source", "order_no", "amount_fen", "reason", "refunded_at")
    reasons = ("七天无理由", "包装破损", "发错货", "与描述不符", "不想要了")
    refunded = sorted((o for o in orders if o.refund and o.island != "tmall"), key=lambda o: (o.refunded_at, o.number))
    rows = []
    for serial, order in enumerate(refunded, 1):
        source = "wechat" if order.island == "wechat" else "pos"
        values = (
            f"RF{serial:06d}", source, order.number, str(order.refund), dice.one_of(reasons),
            iso_local(order.refunded_at),
        )  # fmt: skip
        owner = order.person.key if order.person else ""
        rows.append(Row(values, owner, {"refunds": 1, "refund_fen": order.refund}))
    return Table("refunds.csv", header, rows, "refund_no", "refunded_at", "amount_fen")


def member_table(people: list[Person], dice: Dice) -> Table:
    """The membership register of the shops: the rows that tie a card to a phone, an e-mail and a WeChat id."""
    header = ("会员卡号", "姓名", "性别", "生日", "手机号", "邮箱", "微信openid", "省份", "城市", "入会时间")
    rows = []
    for person in people:
        if not person.card_no:
            continue
        values = (
            person.card_no, person.name, person.gender,
            person.birthday.isoformat() if dice.chance(0.9) else "",
            phone_as_typed(person.phone, dice) if dice.chance(0.97) else "",
            email_as_typed(person.email, dice) if dice.chance(0.6) else "",
            person.openid if dice.chance(0.5) else "", person.province, person.city,
            local(FIRST_SECOND - dice.below(900 * 86_400), "%Y-%m-%d"),
        )  # fmt: skip
        rows.append(Row(values, person.key, {"members": 1}))
    return Table("members.csv", header, rows, "会员卡号", "入会时间", "", "手机号")


def event_table(events: list[AppEvent], dice: Dice) -> Table:
    """The app's event log: UTF-8, UTC."""
    header = ("event_id", "event_type", "user_id", "device_id", "phone", "email", "openid", "sku", "occurred_at")
    rows = []
    for serial, event in enumerate(events, 1):
        person = event.person
        values = (
            f"ev{serial:08d}", event.kind, person.user_id, person.device_id, phone_as_typed(event.phone, dice),
            email_as_typed(event.email, dice), event.openid, event.sku, iso_utc(event.at),
        )  # fmt: skip
        rows.append(Row(values, person.key, {"events": 1}))
    return Table("app_events.csv", header, rows, "event_id", "occurred_at", "", "phone")


def touch_table(touches: list[Touch]) -> Table:
    """The advertising and messaging log of six channels: UTF-8, UTC, one identifier per row."""
    header = ("touch_id", "channel", "campaign", "interaction", "identity_kind", "identity_value", "occurred_at")
    rows = []
    for serial, touch in enumerate(touches, 1):
        values = (
            f"t{serial:08d}", touch.channel, touch.campaign, touch.interaction, touch.kind, touch.value,
            iso_utc(touch.at),
        )  # fmt: skip
        rows.append(Row(values, touch.person.key, {"touches": 1}))
    return Table("touches.csv", header, rows, "touch_id", "occurred_at")


def consent_table(steps: list[ConsentStep], dice: Dice) -> Table:
    """The consent register: UTF-8, UTC; an empty channel means every channel."""
    header = ("consent_id", "identity_kind", "identity_value", "channel", "purpose", "action", "source", "occurred_at")
    rows = []
    for serial, step in enumerate(steps, 1):
        source = dice.one_of(("小程序", "门店登记", "官网表单"))
        values = (
            f"c{serial:07d}", step.kind, step.value, step.channel, step.purpose, step.action, source, iso_utc(step.at),
        )  # fmt: skip
        rows.append(Row(values, step.person.key, {"consents": 1}))
    return Table("consents.csv", header, rows, "consent_id", "occurred_at")
