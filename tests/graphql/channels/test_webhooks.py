"""The webhook endpoint is open to anybody: whatever comes, no stranger makes the server fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from fairlead.clients.service import archive_client
from fairlead.plugins.contracts.channel import InboundOutcome
from fairlead.plugins.errors import Abort, FixCredentials, FixSettings, RetryLater, SkipItem


def counted(world: Any, result: str) -> float:
    labels = {"channel": "shop", "call": "receive", "result": result}
    return world.runtime.metrics.registry.get_sample_value("fairlead_channel_calls_total", labels) or 0.0


FINE = InboundOutcome("", body=b"fine")
ODD_ACCOUNTS = (
    0,
    "00",
    -1,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    "9" * 5000,
    "+1",
    "1_0",
    "%201",
    "%D9%A1",
    "1.0",
    "x",
    "1%00",
)
ODD_CLIENTS = ("nobody", "%00", "acme%00", "a" * 3000, "%F0%9F%98%80", "ACME", "-", "%27%20--")


@pytest.fixture
def send(world: Any) -> Callable[..., Any]:
    """``send(client, account)`` posts a body to the endpoint; what the server fails with is raised here."""

    def post(client: str = "acme", account: Any = None) -> Any:
        number = world.accounts["acme"] if account is None else account
        return world.http.post(f"/v1/webhooks/{client}/{number}", content=b"x")

    return post


def raising(error: Exception) -> Callable[..., InboundOutcome]:
    def receive(context: Any, request: Any) -> InboundOutcome:
        raise error

    return receive


def test_only_an_account_of_an_active_client_is_found(world: Any, shop: Any, send: Any) -> None:
    shop.receive = lambda context, request: FINE
    for account in ODD_ACCOUNTS:
        assert send(account=account).status_code == 404, account
    for client in ODD_CLIENTS:
        assert send(client).status_code == 404, client
    assert send("bolt", world.accounts["acme"]).status_code == 404
    assert (send().status_code, send().content) == (200, b"fine")
    with world.runtime.agency_work("test") as work:
        archive_client(work, world.clients["acme"])
    assert send().status_code == 404


def test_whatever_a_plugin_stumbles_over_is_not_acceptable_and_logged_by_its_type(
    world: Any, shop: Any, send: Any
) -> None:
    errors = (KeyError("li@example.com"), RecursionError(), UnicodeDecodeError("utf-8", b"li@example.com", 0, 1, "x"))
    for number, error in enumerate(errors, 1):
        shop.receive = raising(error)
        with capture_logs() as logs:
            answer = send()
        assert (answer.status_code, answer.text) == (400, "not acceptable\n")
        told = [entry for entry in logs if entry["event"] == "a webhook was not taken"]
        assert [(entry["type"], entry["account"]) for entry in told] == [(type(error).__name__, world.accounts["acme"])]
        assert "li@example.com" not in repr(logs)
        assert counted(world, "abort") == number
    shop.receive = lambda context, request: None
    assert send().status_code == 400
    assert counted(world, "abort") == len(errors) + 1


def test_each_rung_has_its_status_and_is_counted(world: Any, shop: Any, send: Any) -> None:
    for kind, status in ((FixCredentials, 401), (RetryLater, 503), (SkipItem, 400), (FixSettings, 400), (Abort, 400)):
        shop.receive = raising(kind("x"))
        assert send().status_code == status
        assert counted(world, kind.rung) == 1
    shop.receive = lambda context, request: FINE
    assert send().status_code == 200
    assert counted(world, "ok") == 1
