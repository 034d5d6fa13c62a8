"""Links and endpoints beside GraphQL: what only looks changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.customers.consent import grant
from fairlead.customers.model import Consent
from fairlead.messaging.unsubscribe import unsubscribe_url
from fairlead.plugins.contracts.channel import InboundOutcome


@pytest.fixture
def link(world: Any) -> str:
    """The path of a link that would withdraw a consent which somebody has."""
    person = world.profiles["acme"][0]
    with world.client_work("acme") as work:
        grant(work, person, "marketing", "email", source="test", evidence={})
        return str(unsubscribe_url(work, person, "marketing", "email").removeprefix(work.public_url))


def state(world: Any) -> str:
    with world.runtime.reading(world.clients["acme"]) as work:
        return str(work.session.scalars(sa.select(Consent.state).where(Consent.channel == "email")).one())


def test_only_a_post_withdraws(world: Any, link: str) -> None:
    given = state(world)
    shown = world.http.get(link)
    assert (shown.status_code, "<form method" in shown.text) == (200, True)
    assert world.http.head(link).status_code == 200
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert world.http.request(method, link).status_code == 405
    assert state(world) == given
    assert world.http.post(link).status_code == 200
    assert state(world) != given


def test_a_head_delivers_no_webhook(world: Any, shop: Any) -> None:
    heard: list[str] = []
    shop.receive = lambda _context, request: heard.append(request.method) or InboundOutcome("", body=b"fine")
    path = f"/v1/webhooks/acme/{world.accounts['acme']}"
    assert [world.http.request(method, path).status_code for method in ("HEAD", "GET", "POST")] == [405, 200, 200]
    assert heard == ["GET", "POST"]


def test_readiness_is_told_without_reading_the_migrations_again(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.http.get("/readyz").json() == {"ready": True}
    monkeypatch.setattr("fairlead.storage.migrate.ScriptDirectory", None)
    assert world.http.get("/readyz").json() == {"ready": True}
