"""Between messages and the lines of the file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

from fairlead.plugins.contracts.channel import OutgoingMessage


def external_id(key: str) -> str:
    """The id a message with this key gets, now and at every repeat: ``console-`` and 128 bits of the key's SHA-256."""
    return "console-" + hashlib.sha256(key.encode()).hexdigest()[:32]


def to_line(message: OutgoingMessage, *, client: str, account: str, now: dt.datetime) -> bytes:
    """One message as one JSON line in UTF-8, line feed included; ``external_id`` comes first."""
    record = {
        "external_id": external_id(message.key),
        "key": message.key,
        "at": now.astimezone(dt.UTC).isoformat(),
        "client": client,
        "account": account,
        "address": message.address,
        "purpose": message.purpose,
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "variables": dict(message.variables),
        "unsubscribe_url": message.unsubscribe_url,
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def id_of_line(line: bytes) -> str:
    """The ``external_id`` of a line written by :func:`to_line`; ``""`` for a line that is something else."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    found = record.get("external_id", "") if isinstance(record, dict) else ""
    return found if isinstance(found, str) else ""
