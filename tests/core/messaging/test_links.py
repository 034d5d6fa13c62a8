"""Links that withdraw consent are signed for that alone."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from fairlead.errors import NotFound
from fairlead.messaging import unsubscribe
from fairlead.runtime import Fairlead


def link(body: bytes, tag: bytes) -> str:
    return base64.urlsafe_b64encode(body + tag).rstrip(b"=").decode()


def test_only_a_signature_for_this_link_of_this_client_is_accepted(runtime: Fairlead, agency: Any) -> None:
    with runtime.work(agency.acme) as work:
        url = unsubscribe.unsubscribe_url(work, 5, "marketing", "email")
    token = url.rpartition("/")[2]
    body = orjson.dumps([agency.acme, 5, "marketing", "email"])
    vault = runtime.vault
    assert token == link(body, vault.sign(agency.acme, unsubscribe.KIND, body.decode()))
    forged = [
        link(body, vault.blind(agency.acme, unsubscribe.KIND, body.decode())),
        link(body, vault.sign(agency.acme, "other", body.decode())),
        link(body, vault.sign(agency.bolt, unsubscribe.KIND, body.decode())),
        link(body.replace(b"5", b"6"), vault.sign(agency.acme, unsubscribe.KIND, body.decode())),
        link(body, b""),
        link(body, b"\0" * 16),
    ]
    for wrong in forged:
        with runtime.work(agency.acme) as work, pytest.raises(NotFound):
            unsubscribe.accept(work, wrong)
    with runtime.work(agency.bolt) as work, pytest.raises(NotFound):
        unsubscribe.accept(work, token)
