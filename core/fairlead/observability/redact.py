"""Takes secrets and personal data out of texts and objects that people will read: logs, audit entries, error texts.

It is the last line, not the first: code is written so that such values never get here. It errs towards hiding.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
EMAIL = "[email]"
PHONE = "[phone]"
LONGEST = 8_000
DEEPEST = 6
MOST = 200

_SECRET_WORDS = (
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "authorization",
    "cookie",
    "api_key",
    "apikey",
    "app_key",
    "appkey",
    "private_key",
    "session_key",
    "signature",
    "webhook_url",
)
_PERSONAL_WORDS = (
    "phone",
    "mobile",
    "email",
    "e_mail",
    "id_card",
    "birth",
    "receiver",
    "full_name",
    "openid",
    "unionid",
)
_PERSONAL_NAMES = frozenset({"address", "addresses", "mail", "tel", "keys", "blind", "idcard", "recipient"})
# These say something about a secret or an address without being one.
_HARMLESS = frozenset(
    {"token_id", "token_ids", "token_name", "replaced_token_id", "secrets_set", "address_kind", "address_kinds"}
)

# `token:34` is how an actor is written; what follows any other such word is taken for the secret itself.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\bfl_[\w-]{16,}"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), HIDDEN),
    (
        re.compile(
            r"(?i)\b(?!token:\d+\b)([\w-]*(?:password|passwd|secret|token|api_?key|app_?key|session|sign)\"?\s*[=:]\s*\"?)[^\s&\",;)]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{42,}={1,2}"), HIDDEN),
    (re.compile(r"(?<![\w+-])(?=[\w+-]*[a-z])(?=[\w+-]*[A-Z])(?=[\w+-]*\d)[\w+-]{40,200}(?![\w+-])"), HIDDEN),
    (re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), EMAIL),
    (re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)"), HIDDEN),
    (re.compile(r"(?<![\d.])(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)"), PHONE),
    (re.compile(r"\+\d(?:[ -]?\d){7,14}(?!\d)"), PHONE),
)


def redact_text(text: str) -> str:
    """``text`` with addresses, phones, identity card numbers and everything shaped like a secret replaced."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def is_sensitive_key(key: str) -> bool:
    """Whether a value under this name is hidden whatever it looks like."""
    name = key.replace("-", "_").replace(" ", "_")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if name in _HARMLESS:
        return False
    return name in _PERSONAL_NAMES or any(word in name for word in (*_SECRET_WORDS, *_PERSONAL_WORDS))


def redact(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON data fit to be shown: sensitive keys hidden, texts redacted, bytes never shown."""
    if value is None or isinstance(value, bool | int | float):
        return _redact_number(value)
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return HIDDEN
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:MOST]
        return {
            str(key): HIDDEN if is_sensitive_key(str(key)) and item is not None else redact(item, depth + 1)
            for key, item in items
        }
    if isinstance(value, list | tuple | set | frozenset):
        ordered = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [redact(item, depth + 1) for item in list(ordered)[:MOST]]
    return redact_text(str(value))


def _redact_number(value: float | None) -> float | str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 13_000_000_000 <= value < 20_000_000_000:
        return PHONE
    return value
