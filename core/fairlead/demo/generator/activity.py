"""What happened around the orders: app events, advertising touches and consents."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fairlead.demo.generator import words
from fairlead.demo.generator.dice import FIRST_SECOND, LAST_SECOND, Dice, moment, running
from fairlead.demo.generator.orders import Order
from fairlead.demo.generator.people import Person

CHANNELS = ("douyin", "xiaohongshu", "wechat", "sms", "email", "search")
# What people meet at any time, and what they meet shortly before they buy: the difference is what attribution finds.
_ANY_TIME = running((34, 24, 18, 8, 6, 10))
_BEFORE_BUYING = running((16, 20, 24, 10, 6, 24))
_CLICK_SHARE = {"douyin": 0.05, "xiaohongshu": 0.08, "wechat": 0.14, "sms": 0.06, "email": 0.05, "search": 0.55}
DAY = 86_400


@dataclass(frozen=True, slots=True)
class AppEvent:
    """One event in the app; only a ``register`` or ``login`` event carries ``phone``, ``email`` or ``openid``."""

    person: Person
    kind: str
    sku: str
    at: int
    phone: str = ""
    email: str = ""
    openid: str = ""


@dataclass(frozen=True, slots=True)
class Touch:
    """One contact by a channel, known by one identifier of kind ``phone``, ``email``, ``openid`` or ``device``."""

    person: Person
    channel: str
    campaign: str
    interaction: str
    kind: str
    value: str
    at: int


@dataclass(frozen=True, slots=True)
class ConsentStep:
    """A consent given or withdrawn, known by one identifier."""

    person: Person
    kind: str
    value: str
    channel: str
    purpose: str
    action: str
    at: int


def make_events(people: list[Person], dice: Dice) -> list[AppEvent]:
    """App events in order of time: one registration per user, then sessions from opening to cart."""
    events: list[AppEvent] = []
    for person in people:
        if not person.user_id:
            continue
        sessions = sorted(moment(dice) for _ in range(1 + dice.count(2.4)))
        events.append(
            AppEvent(
                person=person,
                kind="register",
                sku="",
                at=max(sessions[0] - dice.between(20, 90), FIRST_SECOND),
                phone=person.phone if dice.chance(0.93) else "",
                email=person.email if dice.chance(0.4) else "",
                openid=person.openid if dice.chance(0.6) else "",
            )
        )
        for start in sessions:
            events += _session(person, start, dice)
    events.sort(key=lambda event: (event.at, event.person.key, event.kind, event.sku))
    return events


def _session(person: Person, start: int, dice: Dice) -> list[AppEvent]:
    at = start
    steps = [AppEvent(person, "open", "", at)]
    for _ in range(1 + dice.count(2.0)):
        at += dice.between(5, 120)
        sku = dice.one_of(words.GOODS)[0]
        steps.append(AppEvent(person, "view", sku, at))
        if dice.chance(0.12):
            steps.append(AppEvent(person, "favourite", sku, at + dice.between(1, 4)))
        if dice.chance(0.17):
            steps.append(AppEvent(person, "cart", sku, at + dice.between(1, 4)))
    return [replace(step, at=min(step.at, LAST_SECOND)) for step in steps]


def make_touches(people: list[Person], orders: list[Order], dice: Dice) -> list[Touch]:
    """Touches in order of time: a background for everybody, and a denser run in the two weeks before each payment."""
    touches: list[Touch] = []
    for person in people:
        for _ in range(dice.count(2.2)):
            touches.append(_touch(person, dice.weighted(CHANNELS, _ANY_TIME), moment(dice), dice))
    for order in orders:
        if order.person is None or not order.paid_at:
            continue
        for _ in range(dice.count(1.6)):
            before = int(DAY * 14 * (dice.below(1000) / 1000) ** 2.2) + dice.between(60, 3_600)
            at = max(order.created - before, FIRST_SECOND)
            touches.append(_touch(order.person, dice.weighted(CHANNELS, _BEFORE_BUYING), at, dice))
    touches.sort(key=lambda touch: (touch.at, touch.person.key, touch.channel))
    return touches


def _touch(person: Person, channel: str, at: int, dice: Dice) -> Touch:
    kind, value = _identifier(person, channel)
    if kind == "phone" and channel in ("email", "wechat"):
        channel = "sms"  # nobody can be reached by e-mail or WeChat without an address there
    interaction = "click" if dice.chance(_CLICK_SHARE[channel]) else "impression"
    return Touch(person, channel, dice.one_of(words.CAMPAIGNS), interaction, kind, value, at)


def _identifier(person: Person, channel: str) -> tuple[str, str]:
    own = {
        "email": ("email", person.email),
        "wechat": ("openid", person.openid),
        "douyin": ("device", person.device_id),
        "xiaohongshu": ("device", person.device_id),
        "search": ("device", person.device_id),
    }
    kind, value = own.get(channel, ("phone", person.phone))
    return (kind, value) if value else ("phone", person.phone)


def make_consents(people: list[Person], dice: Dice) -> list[ConsentStep]:
    """Consents in order of time; about one in nine is withdrawn later, few people agree to sharing."""
    steps: list[ConsentStep] = []
    for person in people:
        offers = (
            ("phone", person.phone, "sms", "marketing", 0.62),
            ("email", person.email, "email", "marketing", 0.55),
            ("openid", person.openid, "wechat", "marketing", 0.58),
            ("phone", person.phone, "", "personalisation", 0.30),
            ("phone", person.phone, "", "sharing", 0.08),
        )
        for kind, value, channel, purpose, share in offers:
            if not value or not dice.chance(share):
                continue
            at = FIRST_SECOND + dice.below(40 * DAY)
            given = ConsentStep(person, kind, value, channel, purpose, "granted", at)
            steps.append(given)
            if dice.chance(0.11):
                later = min(at + dice.between(DAY, 70 * DAY), LAST_SECOND)
                steps.append(replace(given, action="withdrawn", at=later))
    steps.sort(key=lambda step: (step.at, step.person.key, step.channel, step.purpose, step.action))
    return steps
