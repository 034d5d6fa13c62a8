"""Addresses and the signed tokens that lead a bounce back to its mail.

A token is 26 letters of the message key's SHA-256 and, with a secret, 16 letters of its HMAC: lower-case base32, so
that it survives servers that change the case of addresses. It stands in the Message-ID and in the return path (VERP);
someone who knows neither the secret nor the mail cannot make one up.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
TOKEN = r"[a-z2-7]{26}(?:[a-z2-7]{16})?"  # noqa: S105 - a pattern
VERP_PREFIX = "b-"


class BadAddress(ValueError):
    """Not an address that mail can be sent to; the message does not repeat it."""


def checked_domain(domain: str) -> str:
    """A host name in ASCII and lower case, by IDNA where it is not ASCII. Raises :class:`BadAddress`."""
    try:
        name = domain.encode("idna").decode().lower()
    except UnicodeError as error:
        raise BadAddress("the domain is not valid") from error
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise BadAddress("the domain is not valid")
    return name


def checked_address(address: str) -> str:
    """``local@domain`` in ASCII, the domain by IDNA. Raises :class:`BadAddress`.

    Quoted and non-ASCII local parts are refused, and what looks like an RFC 2047 word: hardly a server takes them, and
    all three hide line breaks well.
    """
    local, at, domain = address.strip(" ").rpartition("@")
    if not at or len(local) > 64 or "=?" in local or not _LOCAL.fullmatch(local):
        raise BadAddress("the address is not valid")
    return f"{local}@{checked_domain(domain)}"


def _base32(data: bytes, length: int) -> str:
    return base64.b32encode(data).decode().lower()[:length]


def make_token(key: str, secret: str | None) -> str:
    """The token of the message with this ``key``."""
    token = _base32(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest(), 26)
    return token + _mac(token, secret) if secret else token


def _mac(token: str, secret: str) -> str:
    return _base32(hmac.new(secret.encode(), b"fairlead-mail:" + token.encode(), "sha256").digest(), 16)


def is_genuine(token: str, secret: str | None) -> bool:
    """Whether ``token`` was made with ``secret``; without a secret every well-formed token counts."""
    if not secret:
        return len(token) == 26
    return len(token) == 42 and hmac.compare_digest(_mac(token[:26], secret), token[26:])


def message_id(token: str, domain: str) -> str:
    """The Message-ID of the mail with this token, angle brackets included."""
    return f"<{token}@{domain}>"


def return_path(token: str, domain: str) -> str:
    """The envelope sender of the mail with this token."""
    return f"{VERP_PREFIX}{token}@{domain}"
