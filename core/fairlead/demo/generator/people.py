"""The people behind the rows: who they are, and by which identifiers each island knows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from fairlead.demo.generator import words
from fairlead.demo.generator.dice import FIRST_DAY, Dice, running

SHARE_TMALL, SHARE_WECHAT, SHARE_TILL, SHARE_APP = 0.62, 0.52, 0.40, 0.48
SHARE_EMAIL, SHARE_SECOND_PHONE, SHARE_VIRTUAL = 0.58, 0.07, 0.04
SHARE_FAMILY_PHONE, SHARE_DOT_TWIN, SHARE_UNDER_AGE = 0.006, 0.008, 0.008

_SURNAMES_UPTO = running([row[2] for row in words.SURNAMES])
_REGIONS_UPTO = running([row[2] for row in words.REGIONS])
_DOMAINS_UPTO = running([row[1] for row in words.MAIL_DOMAINS])


@dataclass(frozen=True, slots=True)
class Person:
    """One person of the truth; an empty identifier means that the island does not know them.

    ``phone`` and ``second_phone`` are 11 digits, ``email`` is in lower case, ``birthday`` is a date.
    """

    key: str
    name: str
    gender: str
    birthday: date
    province: str
    province_short: str
    city: str
    phone: str
    second_phone: str
    email: str
    tmall_nick: str
    openid: str
    card_no: str
    user_id: str
    device_id: str


def make_people(count: int, dice: Dice, phones: set[str]) -> list[Person]:
    """Draw ``count`` people, none of whom has a number of ``phones``, which grows by theirs.

    A few share a phone with family, a few have an e-mail one dot away from a stranger's.
    """
    people: list[Person] = []
    emails: set[str] = set()
    for number in range(1, count + 1):
        person = _person(number, dice, phones)
        if person.email and person.email in emails:
            local_part, domain = person.email.split("@")
            person = replace(person, email=f"{local_part}_{number}@{domain}")
        if people and dice.chance(SHARE_FAMILY_PHONE):
            person = replace(person, phone=dice.one_of(people).phone)
        if people and dice.chance(SHARE_DOT_TWIN):
            person = replace(person, email=_dot_twin(dice.one_of(people).email, emails) or person.email)
        emails.add(person.email)
        people.append(person)
    return people


def new_phone(dice: Dice, taken: set[str]) -> str:
    """An 11 digit mobile number that is not in ``taken``, and is from now on."""
    while True:
        prefixes = words.VIRTUAL_PREFIXES if dice.chance(SHARE_VIRTUAL) else words.MOBILE_PREFIXES
        phone = f"{dice.one_of(prefixes)}{dice.below(100_000_000):08d}"
        if phone not in taken:
            taken.add(phone)
            return phone


def _person(number: int, dice: Dice, phones: set[str]) -> Person:
    surname, surname_pinyin, _ = dice.weighted(words.SURNAMES, _SURNAMES_UPTO)
    female = dice.chance(0.61)
    pool = words.GIVEN_FEMALE if female else words.GIVEN_MALE
    given = [dice.one_of(pool) for _ in range(2 if dice.chance(0.82) else 1)]
    full, short, _, cities = dice.weighted(words.REGIONS, _REGIONS_UPTO)
    pinyin = surname_pinyin + "".join(sound for _, sound in given)
    on_tmall, on_wechat, at_till, on_app = (
        dice.chance(share) for share in (SHARE_TMALL, SHARE_WECHAT, SHARE_TILL, SHARE_APP)
    )
    nobody_yet = not (on_tmall or on_wechat or at_till or on_app)
    return Person(
        key=f"p{number:05d}",
        name=surname + "".join(char for char, _ in given),
        gender="女" if female else "男",
        birthday=_birthday(dice),
        province=full,
        province_short=short,
        city=dice.one_of(cities),
        phone=new_phone(dice, phones),
        second_phone=new_phone(dice, phones) if dice.chance(SHARE_SECOND_PHONE) else "",
        email=_email(surname_pinyin, [sound for _, sound in given], dice) if dice.chance(SHARE_EMAIL) else "",
        tmall_nick=f"{pinyin[:8]}{dice.between(10, 9999)}_{dice.code(3)}" if on_tmall or nobody_yet else "",
        openid=f"o{dice.code(27)}" if on_wechat else "",
        card_no=f"M{number:06d}{dice.below(10)}" if at_till and dice.chance(0.7) else "",
        user_id=f"u{100_000 + number}" if on_app else "",
        device_id=f"d-{dice.code(16, '0123456789abcdef')}" if on_app else "",
    )


def _birthday(dice: Dice) -> date:
    today = FIRST_DAY.date()
    if dice.chance(SHARE_UNDER_AGE):
        return today - timedelta(days=dice.between(12 * 365, 17 * 365))
    age = min(max(dice.about(33.0, 9.0), 18.5), 74.0)
    return today - timedelta(days=int(age * 365.25))


def _email(surname: str, given: list[str], dice: Dice) -> str:
    domain = dice.weighted([row[0] for row in words.MAIL_DOMAINS], _DOMAINS_UPTO)
    if domain.startswith("qq.") and dice.chance(0.7):
        return f"{dice.between(100_000_000, 3_999_999_999)}@{domain}"
    separator = dice.one_of((".", "_", ""))
    return f"{surname}{separator}{''.join(given)}{dice.between(1, 9999)}@{domain}"


def _dot_twin(email: str, taken: set[str]) -> str:
    """The address without its first dot: another mailbox at most providers, so it must not be linked."""
    local_part, _, domain = email.partition("@")
    twin = f"{local_part.replace('.', '', 1)}@{domain}"
    return "" if "." not in local_part or twin in taken else twin
