"""Links that withdraw consent: one click, no login, nothing personal in the address.

A link is the client, profile, purpose and channel, signed with a key of the client's (HMAC-SHA-256, 128 bits), so ids
in it cannot be changed. RFC 8058 asks for a POST; a GET only shows what would happen: mail scanners follow links.
"""

from __future__ import annotations

import base64
from typing import Annotated

import orjson
from pydantic import ConfigDict, Field, TypeAdapter

from fairlead.customers.consent import withdraw
from fairlead.errors import NotFound
from fairlead.storage.crypto import SIGNATURE_BYTES
from fairlead.work import Work

KIND = "unsubscribe"
_Id = Annotated[int, Field(ge=0, lt=2**63)]
FIELDS: TypeAdapter[tuple[int, int, str, str]] = TypeAdapter(tuple[_Id, _Id, str, str], config=ConfigDict(strict=True))


def unsubscribe_url(work: Work, profile_id: int, purpose: str, channel: str) -> str:
    """The path of the link; whoever sends it puts the public address before it."""
    body = orjson.dumps([work.client_id, profile_id, purpose, channel])
    return f"{work.public_url}/u/{_encode(body + work.vault.sign(work.client_id, KIND, body.decode()))}"


def client_of(token: str) -> int:
    """The client a link is for, before it is verified: only good to open a session with."""
    return _parts(token)[0][0]


def accept(work: Work, token: str) -> tuple[str, str]:
    """Withdraw the consent a link names; the answer is purpose and channel. The same link again changes nothing."""
    (client_id, profile_id, purpose, channel), body, tag = _parts(token)
    if client_id != work.client_id or not work.vault.verify(client_id, KIND, body.decode(), tag):
        raise NotFound("this link is not valid")
    withdraw(work, profile_id, purpose, channel, source="unsubscribe link", evidence={"link": token[:12]})
    return purpose, channel


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _parts(token: str) -> tuple[tuple[int, int, str, str], bytes, bytes]:
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        body, tag = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        fields = FIELDS.validate_json(body)
    except ValueError:
        raise NotFound("this link is not valid") from None
    return fields, body, tag
