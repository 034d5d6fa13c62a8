"""HTTP to Acme. Each request is signed: hex HMAC-SHA-256 over method, path, time and body, joined by line feeds."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from fairlead.plugins.contracts.channel import ChannelContext, OutgoingMessage
from fairlead.plugins.errors import FixSettings, OutcomeUnknown, RetryLater, SkipItem
from fairlead.plugins.http import error_for_status


def sign(secret: str, method: str, path: str, at: str, body: bytes) -> str:
    """The signature of one request."""
    text = b"\n".join([method.encode(), path.encode(), at.encode(), body])
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def call(context: ChannelContext, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One signed request; the answer's JSON object. Raises from the ladder whatever goes wrong."""
    settings, at = context.settings, str(int(context.now().timestamp()))
    content = json.dumps(body, ensure_ascii=False).encode() if body is not None else b""
    answer = context.http.request(
        method,
        settings.base_url.rstrip("/") + path,
        content=content,
        headers={
            "content-type": "application/json",
            "x-acme-programme": settings.programme,
            "x-acme-time": at,
            "x-acme-signature": sign(settings.api_secret.get_secret_value(), method, path, at, content),
        },
    )
    error = error_for_status(answer, context.now())
    if error is not None:
        raise error
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        unreadable = RetryLater if method == "GET" else OutcomeUnknown
        raise unreadable("Acme's answer is not a JSON object")
    return found


def put_note(context: ChannelContext, message: OutgoingMessage) -> str:
    """Show a note on the card ``message.address``; returns Acme's id of the note."""
    note = {"key": message.key, "card": message.address, "title": message.subject, "text": message.text}
    answer = call(context, "POST", "/notes", note)
    if answer.get("state") == "card_closed":
        raise SkipItem("the card is closed", code="card_closed")
    note_id = answer.get("note")
    if not isinstance(note_id, str) or not note_id:
        raise FixSettings("Acme took the request but made no note; is the programme allowed to write notes?")
    return note_id
