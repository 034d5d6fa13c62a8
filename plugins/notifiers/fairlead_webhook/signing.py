"""Standard Webhooks, symmetric signatures (v1). Source: github.com/standard-webhooks/standard-webhooks, the spec."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"


class BadSecret(ValueError):
    """The text is no secret of this scheme; the message does not show it."""


def key_of(secret: str) -> bytes:
    """The key bytes of ``whsec_<base64>`` or bare base64, with or without padding."""
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(f"a secret is {PREFIX} and base64") from None
    if not key:
        raise BadSecret("the secret is empty")
    return key


def signature(keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature``: one ``v1,<base64>`` per key, separated by spaces. ``timestamp`` in seconds."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys)
