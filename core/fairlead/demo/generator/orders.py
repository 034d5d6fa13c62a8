"""What the people bought, on which island, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fairlead.demo.generator import words
from fairlead.demo.generator.dice import LAST_SECOND, Dice, moment, running
from fairlead.demo.generator.people import Person

Island = Literal["tmall", "wechat", "till"]
Fate = Literal["done", "unpaid", "cancelled"]

_GOODS_UPTO = running([row[3] for row in words.GOODS])
_MEAN_FURTHER_ORDERS: dict[Island, float] = {"tmall": 0.8, "wechat": 0.6, "till": 0.6}
SHARE_WALK_IN, SHARE_SHOP_PHONE = 0.08, 0.06


@dataclass(frozen=True, slots=True)
class Order:
    """One order; times are Unix seconds, amounts are fen. ``person`` is None when nobody was recorded.

    A cancelled or unpaid order has no payment (``paid_at`` 0, ``paid`` 0). ``at_shop_phone`` says that the clerk typed
    the shop's own number.
    """

    island: Island
    number: str
    person: Person | None
    sku: str
    title: str
    quantity: int
    total: int
    paid: int
    fate: Fate
    created: int
    paid_at: int
    refund: int
    refunded_at: int
    shop: str
    at_shop_phone: bool


def make_orders(people: list[Person], dice: Dice) -> list[Order]:
    """All orders of all islands in order of time; each island's numbers rise with time, as real ones do."""
    drafts: list[tuple[int, Island, Person | None]] = []
    for person in people:
        at_till = bool(person.card_no) or dice.chance(0.12)
        islands: list[tuple[Island, bool]] = [
            ("tmall", bool(person.tmall_nick)),
            ("wechat", bool(person.openid)),
            ("till", at_till),
        ]
        for island in (island for island, known in islands if known):
            count = 1 + dice.count(_MEAN_FURTHER_ORDERS[island])
            drafts += [(moment(dice), island, person) for _ in range(count)]
    till_count = sum(1 for _, island, _ in drafts if island == "till")
    drafts += [(moment(dice), "till", None) for _ in range(int(till_count * SHARE_WALK_IN))]
    drafts.sort(key=lambda draft: (draft[0], draft[1], draft[2].key if draft[2] else ""))
    return [_order(serial, created, island, person, dice) for serial, (created, island, person) in enumerate(drafts)]


def _order(serial: int, created: int, island: Island, person: Person | None, dice: Dice) -> Order:
    sku, title, price, _ = dice.weighted(words.GOODS, _GOODS_UPTO)
    quantity = 1 + min(dice.count(0.35), 9)
    total = price * quantity
    roll = dice.below(1000)
    fate: Fate = "done"
    if island != "till":
        fate = "unpaid" if roll < 70 else "cancelled" if roll < 110 else "done"
    done = fate == "done"
    paid_at = min(created + (0 if island == "till" else dice.between(5, 1_500)), LAST_SECOND) if done else 0
    discount = dice.one_of((0, 0, 0, 500, 1_000, 2_000, total // 10)) if total > 5_000 else 0
    paid = total - discount if done else 0
    refund, refunded_at = _refund(island, paid, paid_at, dice) if done else (0, 0)
    unknown = person is None
    return Order(
        island=island,
        number=_number(island, serial, created),
        person=person,
        sku=sku,
        title=title,
        quantity=quantity,
        total=total,
        paid=paid,
        fate=fate,
        created=created,
        paid_at=paid_at,
        refund=refund,
        refunded_at=refunded_at,
        shop=dice.one_of(words.SHOPS),
        at_shop_phone=island == "till" and (unknown or dice.chance(SHARE_SHOP_PHONE)),
    )


def _refund(island: Island, paid: int, paid_at: int, dice: Dice) -> tuple[int, int]:
    if not dice.chance(0.03 if island == "till" else 0.11):
        return 0, 0
    amount = paid if dice.chance(0.7) else max(paid // dice.between(2, 5), 1)
    return amount, paid_at + dice.between(3_600, 12 * 86_400)


def _number(island: Island, serial: int, created: int) -> str:
    if island == "tmall":
        return f"{3_100_000_000_000_000_000 + created * 100_000 + serial}"
    return f"{'WX' if island == 'wechat' else 'POS'}{created}{serial:06d}"
