"""Checking an account: what each answer and each rung of the ladder means for it."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.channels import service
from fairlead.channels.checks import check_account
from fairlead.errors import NotFound
from fairlead.plugins.contracts.channel import ChannelContext, Health, HealthState
from fairlead.plugins.errors import (
    Abort,
    FixCredentials,
    FixSettings,
    OutcomeUnknown,
    PluginError,
    RetryLater,
    SkipItem,
    SwitchChannel,
)
from fairlead.plugins.events import EventType
from fairlead.runtime import Fairlead
from fairlead.storage.session import ScopedSession
from support.rows import audit_entries


def raising(error: Exception) -> Any:
    def check(context: ChannelContext) -> Health:
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "state", "health"),
    [
        (RetryLater("busy"), "connected", "degraded"),
        (OutcomeUnknown("lost"), "connected", "degraded"),
        (FixSettings("no such shop"), "failed", "down"),
        (SkipItem("no"), "failed", "down"),
        (SwitchChannel("no"), "failed", "down"),
        (Abort("stop"), "failed", "down"),
        (FixCredentials("expired"), "failed", "down"),
    ],
)
def test_each_rung_of_the_ladder(
    runtime: Fairlead, acme: int, account: int, shop: Any, error: PluginError, state: str, health: str
) -> None:
    shop.health = raising(error)
    row = check_account(runtime, acme, account)
    assert (row.state, row.health, row.last_error) == (state, health, error.message)
    assert row.last_error_at is not None


def test_each_answer(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    for health in HealthState:
        shop.health = lambda context, health=health: Health(health, "as said")
        row = check_account(runtime, acme, account)
        assert (row.state, row.health) == ("connected", health.value)
        assert row.last_error == ("" if health is HealthState.OK else "as said")


def test_a_failed_account_recovers_and_plugins_hear_both(
    runtime: Fairlead, acme: int, account: int, shop: Any, plugin: Any
) -> None:
    shop.health = raising(FixSettings("no such shop"))
    check_account(runtime, acme, account)
    check_account(runtime, acme, account)
    shop.health = lambda context: Health(HealthState.OK)
    row = check_account(runtime, acme, account)
    assert (row.state, row.last_error, row.last_error_at) == ("connected", "", None)
    types = [event.type for event in plugin.events]
    assert types == ["plugins.changed", EventType.ACCOUNT_FAILED, EventType.ACCOUNT_RECOVERED]
    with runtime.reading(acme) as work:
        actions = [entry.action for entry in audit_entries(work, object_type="channel_account")]
    assert actions == ["channel_account.recovered", "channel_account.failed", "channel_account.connected"]


def test_a_strangers_exception_keeps_its_text_to_itself(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    shop.health = raising(KeyError("wang@example.com t0-s3cr3t"))
    row = check_account(runtime, acme, account)
    assert row.state == "failed"
    assert "KeyError" in row.last_error
    assert "wang" not in row.last_error
    assert "s3cr3t" not in row.last_error


def test_what_a_plugin_says_is_redacted(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    shop.health = raising(FixSettings("shop of wang@example.com, 13812345678, token=abcdef123456"))
    text = check_account(runtime, acme, account).last_error
    assert not [bad for bad in ("wang", "138", "abcdef") if bad in text]


def test_expired_credentials_are_renewed_once(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    def check(context: ChannelContext) -> Health:
        if context.settings.token.get_secret_value() != "t1":
            raise FixCredentials("expired")
        return Health(HealthState.OK)

    shop.health = check
    shop.renew = lambda context: context.save_settings({"token": "t1", "refresh_token": "r1"})
    assert check_account(runtime, acme, account).health == "ok"
    assert shop.refreshed == 1
    with runtime.reading(acme) as work:
        kept = service.account_secrets(work, service.get_account(work, account))
    assert kept == {"token": "t1", "refresh_token": "r1"}


def test_a_paused_account_stays_paused(runtime: Fairlead, acme: int, account: int, shop: Any) -> None:
    with runtime.work(acme) as work:
        service.pause_account(work, account)
    shop.health = raising(FixSettings("no"))
    assert check_account(runtime, acme, account).state == "paused"


def test_settings_that_no_longer_please_are_a_failure(runtime: Fairlead, acme: int, account: int) -> None:
    with runtime.work(acme) as work:
        row = service.get_account(work, account)
        row.settings = {}
    row = check_account(runtime, acme, account)
    assert (row.state, row.health) == ("failed", "down")
    assert "shop" in row.last_error


def test_no_transaction_is_open_during_the_call(
    runtime: Fairlead, acme: int, account: int, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_sessions: set[int] = set()
    enter, leave = ScopedSession.__enter__, ScopedSession.__exit__

    def counted_enter(self: Any) -> Any:
        open_sessions.add(id(self))
        return enter(self)

    def counted_leave(self: Any, *args: Any) -> Any:
        open_sessions.discard(id(self))
        return leave(self, *args)

    monkeypatch.setattr(ScopedSession, "__enter__", counted_enter)
    monkeypatch.setattr(ScopedSession, "__exit__", counted_leave)
    during: list[int] = []

    def check(context: ChannelContext) -> Health:
        during.append(len(open_sessions))
        context.save_settings({"refresh_token": "r9"})
        return Health(HealthState.OK)

    shop.health = check
    check_account(runtime, acme, account)
    assert during == [0]


def test_an_unknown_account_is_not_found(runtime: Fairlead, acme: int) -> None:
    with pytest.raises(NotFound):
        check_account(runtime, acme, 1)
