"""Kinds of identities, and the one form in which each is compared."""

from __future__ import annotations

import functools
import re
import unicodedata

import phonenumbers

KIND = re.compile(r"[a-z][a-z0-9_]{1,23}")
WEAK = frozenset({"device", "cookie", "ip", "session"})
MAX_LENGTH = 200
PLACEHOLDERS = frozenset(
    {"无", "未知", "空", "null", "none", "nil", "n/a", "na", "nan", "unknown", "undefined", "0", "-", "--"}
)
"""What systems write for *nothing*; as an identity it would make one person of everybody without one."""

# Mainland mobile numbers: 11 digits, 1 then 3-9; the prefix +86, 0086 or 86 may stand before them.
_MAINLAND = re.compile(r"(?:\+?86|0086)?(1[3-9]\d{9})")
_NOISE = re.compile(r"[\s\-().·]+")
_EMAIL = re.compile(r"[^@\s,;<>\"]{1,64}@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")


def looks_personal(text: str) -> bool:
    """Whether a cell is a mainland mobile number or a mail address, as far as its form tells."""
    return bool(_MAINLAND.fullmatch(_NOISE.sub("", text)) or ("@" in text and _EMAIL.fullmatch(text.lower())))


def is_strong(kind: str) -> bool:
    """Whether two facts with the same identity of this kind surely belong to one person."""
    return kind not in WEAK


def normalise(kind: str, text: str, region: str = "CN") -> str | None:
    """The comparable form of an identity, or ``None`` when ``text`` is not one.

    Phones become E.164 (numbers without a country are read as ``region``'s), mail addresses lower case, other kinds are
    trimmed. Full-width letters and digits are folded first.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.strip()
    if not text or len(text) > MAX_LENGTH or "\0" in text or text.lower() in PLACEHOLDERS:
        return None
    if kind == "phone":
        return _phone(text, region)
    if kind == "email":
        lower = text.lower()
        return lower if _EMAIL.fullmatch(lower) else None
    return text


def _phone(text: str, region: str) -> str | None:
    bare = _NOISE.sub("", text)
    found = _MAINLAND.fullmatch(bare)
    if found and (region == "CN" or bare[0] in "+0" or len(bare) == 13):
        return "+86" + found.group(1)
    return _foreign_phone(bare, region)


@functools.lru_cache(maxsize=65536)
def _foreign_phone(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def mask(kind: str, value: str) -> str:
    """What somebody without the right to reveal sees of an identity."""
    if kind == "phone":
        return value[:-8] + "****" + value[-4:] if len(value) > 8 else "****"
    if kind == "email":
        local, _, domain = value.partition("@")
        return f"{local[:1]}***@{domain}"
    return value[:2] + "***" if len(value) > 4 else "***"


def mask_name(name: str) -> str:
    """A person's name with all but its first character hidden."""
    return name[:1] + "*" * max(len(name) - 1, 1)
