"""The account at the replay twin: tokens that end, limits, refusals, callbacks, and the twin's own strictness."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from typing import Any

import httpx2
import pytest

from fairlead.plugins.contracts.channel import (
    HealthState,
    OrderRecord,
    Window,
)
from fairlead.plugins.errors import Abort, FixCredentials, FixSettings, PluginError, RetryLater, SkipItem
from fairlead_taobao.channel import TaobaoChannel
from fairlead_taobao.client import call, top_error
from fairlead_taobao.mapping import to_order
from fairlead_taobao.orders import LIST
from fairlead_taobao.settings import TaobaoSettings
from fairlead_taobao.twin import TaobaoTwin

DAY = dt.timedelta(days=1)
EXACT: dict[str, Any] = {"overlap_seconds": 0, "settle_seconds": 1}
CHANNEL = TaobaoChannel()


def sync(context: Any, start: dt.datetime, end: dt.datetime) -> list[OrderRecord]:
    return [order for page in CHANNEL.sync_orders(context, Window(start, end)) for order in page]


def settings(**changes: Any) -> TaobaoSettings:
    return TaobaoSettings.model_validate({"app_key": "1", "app_secret": "s", **changes})


# -- tokens ---------------------------------------------------------------------------------------------------------


def test_an_ended_session_is_renewed_and_the_rotated_tokens_are_stored(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=10, session_seconds=7200) as twin:
        old = twin.settings(**EXACT)
        twin.expire_session()
        with pytest.raises(FixCredentials) as caught:
            sync(account.context(old), account.now - DAY, account.now)
        assert caught.value.code == "27"
        CHANNEL.refresh(account.context(old))
        assert account.saved == [
            {
                "session": twin.session,
                "refresh_token": twin.refresh_token,
                "session_expires_at": (account.now + dt.timedelta(hours=2)).isoformat(),
                "refresh_expires_at": (account.now + dt.timedelta(hours=4)).isoformat(),
            }
        ]
        assert account.saved[0]["refresh_token"] != old.refresh_token.get_secret_value()
        # As the core does it: the changes over the stored settings, validated again.
        renewed = TaobaoSettings.model_validate({**twin.settings(**EXACT).model_dump(), **account.saved[0]})
        assert len(sync(account.context(renewed), account.now - 2 * DAY, account.now)) == 10
        # The old refresh token is spent: a second renewal with it must not look like a success.
        with pytest.raises(FixCredentials):
            CHANNEL.refresh(account.context(old))
        assert len(account.saved) == 1


def test_tokens_that_cannot_be_stored_are_not_called_renewed(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=1) as twin:
        context = account.context(twin.settings())

        def fails(changed: Any) -> None:
            raise OSError("disk full")

        object.__setattr__(context, "save_settings", fails)
        with pytest.raises(OSError, match="disk full"):
            CHANNEL.refresh(context)


def test_without_tokens_a_person_is_asked(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=1) as twin:
        context = account.context(twin.settings(session="", refresh_token=""))
        with pytest.raises(FixCredentials) as caught:
            CHANNEL.check(context)
        assert caught.value.code == "26"
        with pytest.raises(FixCredentials, match="authorise"):
            CHANNEL.refresh(context)


@pytest.mark.parametrize("change", [{"app_secret": "wrong"}, {"app_key": "99"}])
def test_wrong_keys(account: Any, change: dict[str, str]) -> None:
    with TaobaoTwin(now=account.clock, orders=1) as twin:
        context = account.context(twin.settings(**change))
        with pytest.raises(FixSettings):
            CHANNEL.check(context)
        with pytest.raises(FixCredentials):
            CHANNEL.refresh(context)


@pytest.mark.parametrize("method", ["md5", "hmac", "hmac-sha256"])
def test_every_way_of_signing_is_accepted(account: Any, method: str) -> None:
    with TaobaoTwin(now=account.clock, orders=1) as twin:
        assert CHANNEL.check(account.context(twin.settings(sign_method=method))).state is HealthState.OK


def test_a_wrong_clock_is_not_taken_for_a_wrong_token(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=1) as twin:
        context = account.context(twin.settings())
        object.__setattr__(context, "now", lambda: account.now + dt.timedelta(minutes=11))
        with pytest.raises(Abort) as caught:
            CHANNEL.check(context)
        assert caught.value.code == "31"


# -- limits and refusals --------------------------------------------------------------------------------------------


def test_a_limited_call_waits_as_long_as_the_platform_says(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=30, limit_every=3) as twin:
        context = account.context(twin.settings(page_size=5, window_minutes=1440, **EXACT))
        with pytest.raises(RetryLater) as caught:
            sync(context, account.now - 2 * DAY, account.now)
        assert caught.value.code == "7"
        assert caught.value.retry_after == 3.0
        assert CHANNEL.check(context).state is HealthState.OK
        CHANNEL.check(context)
        assert CHANNEL.check(context).state is HealthState.DEGRADED


@pytest.mark.parametrize(
    ("code", "sub_code", "rung"),
    [
        (27, "session-expired", FixCredentials),
        ("26", "", FixCredentials),
        (7, "accesscontrol.limited-by-api-access-count", RetryLater),
        (4, "", RetryLater),
        (8, "", RetryLater),
        (10, "isp.http-connection-timeout", RetryLater),
        (15, "isp.remote-service-error", RetryLater),
        (15, "", RetryLater),
        (15, "isv.trade-not-exist", SkipItem),
        (15, "isv.invalid-parameter:fields", Abort),
        (15, "isv.permission-api-package-limit", FixSettings),
        (11, "isv.permission-api-package-limit", FixSettings),
        (25, "", FixSettings),
        (29, "", FixSettings),
        (31, "", Abort),
        (40, "isv.missing-parameter:fields", Abort),
        (41, "isv.invalid-parameter", Abort),
        (999, "", Abort),
        (None, None, Abort),
        ("9" * 5000, "x" * 5000, Abort),
    ],
)
def test_refusals_on_the_ladder(code: Any, sub_code: Any, rung: type[PluginError]) -> None:
    error = top_error(
        {"code": code, "sub_code": sub_code, "msg": "m", "sub_msg": "买家 13800138000 不存在"}, "taobao.x"
    )
    assert type(error) is rung
    assert "13800138000" not in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("answer", "rung"),
    [
        (httpx2.Response(200, content=b"<html>busy</html>"), RetryLater),
        (httpx2.Response(200, content=b"[]"), RetryLater),
        (httpx2.Response(200, content=b"\xff\xfe"), RetryLater),
        (httpx2.Response(200, content=b"[" * 100_000), RetryLater),
        (httpx2.Response(200, json={"other_response": {}}), RetryLater),
        (httpx2.Response(200, json={"error_response": "x"}), RetryLater),
        (httpx2.Response(502, content=b"bad gateway"), RetryLater),
        (httpx2.Response(429, headers={"retry-after": "9"}), RetryLater),
        (httpx2.Response(302, headers={"location": "http://10.0.0.1/"}), FixSettings),
        (httpx2.Response(200, json={"error_response": {"code": 15, "sub_code": "isv.odd"}}), Abort),
    ],
)
def test_broken_answers_to_a_list_never_end_as_no_orders(account: Any, answer: Any, rung: type[PluginError]) -> None:
    with httpx2.Client(transport=httpx2.MockTransport(lambda request: answer)) as http:
        context = account.context(settings(session="s"), http=http)
        with pytest.raises(rung):
            sync(context, account.now - DAY, account.now)


@pytest.mark.parametrize(
    ("answer", "rung"),
    [
        (httpx2.Response(400, json={"error": "invalid_grant", "error_description": "token 62000000"}), FixCredentials),
        (httpx2.Response(200, json={"error": "invalid_grant"}), FixCredentials),
        (httpx2.Response(403, content=b"no"), FixCredentials),
        (httpx2.Response(400, json={}), FixCredentials),
        (httpx2.Response(200, json={}), RetryLater),
        (httpx2.Response(200, content=b"busy"), RetryLater),
        (httpx2.Response(503), RetryLater),
        (httpx2.Response(429), RetryLater),
    ],
)
def test_a_renewal_that_fails_changes_nothing(account: Any, answer: Any, rung: type[PluginError]) -> None:
    with httpx2.Client(transport=httpx2.MockTransport(lambda request: answer)) as http:
        context = account.context(settings(session="s", refresh_token="secret-token"), http=http)
        with pytest.raises(rung) as caught:
            CHANNEL.refresh(context)
    assert account.saved == []
    assert "secret-token" not in str(caught.value)
    assert "62000000" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    shown = repr(settings(session="tok", refresh_token="ref", app_secret="sec"))
    assert not any(secret in shown for secret in ("'tok'", "'ref'", "'sec'"))


# -- callbacks ------------------------------------------------------------------------------------------------------


def test_a_callback_with_a_whole_trade_is_an_order(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=50) as twin:
        context = account.context(twin.settings(webhook_reply='{"flag":"success"}'))
        paid = next(trade for trade in twin.book.trades.values() if trade["status"] == "TRADE_FINISHED")
        request = twin.spi_request({"trade": paid})
        outcome = CHANNEL.receive(context, request)
        assert outcome.orders == (to_order(paid, app_key=twin.app_key),)
        assert outcome.body == b'{"flag":"success"}'
        assert outcome.dedupe_id == CHANNEL.receive(context, request).dedupe_id
        other = CHANNEL.receive(context, twin.spi_request({"trade": {**paid, "tid": 1}}))
        assert other.dedupe_id != outcome.dedupe_id


def test_a_callback_that_would_need_more_calls_is_left_to_the_sync(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=50) as twin:
        context = account.context(twin.settings())
        refunded = next(trade for trade in twin.book.trades.values() if trade["status"] == "TRADE_CLOSED")
        payloads: list[Any] = [
            {"trade": refunded},
            {"trade": {**refunded, "orders": None}},
            {"trade": {"tid": 1, "orders": {"order": []}}},
            {"trade": []},
            [],
            {},
        ]
        for payload in payloads:
            outcome = CHANNEL.receive(context, twin.spi_request(payload))
            assert (outcome.orders, outcome.status) == ((), 200)
        assert twin.calls == []


def test_a_forged_callback_is_refused(account: Any) -> None:
    with TaobaoTwin(now=account.clock, orders=1) as twin:
        request = twin.spi_request({"trade": {}})
        context = account.context(twin.settings(app_secret="another"))
        with pytest.raises(FixCredentials):
            CHANNEL.receive(context, request)


# -- the twin itself ------------------------------------------------------------------------------------------------


def test_the_twin_is_strict(account: Any) -> None:
    """What the real platform refuses is refused here too, or passing against the twin would mean nothing."""
    with TaobaoTwin(now=account.clock, orders=1) as twin:
        url = f"http://127.0.0.1:{twin.port}/router/rest"
        good: dict[str, str] = {}

        def answer(**changes: str) -> Any:
            return account.http.post(url, data={**good, **changes}).json()["error_response"]["code"]

        CHANNEL.check(account.context(twin.settings()))
        good |= twin.calls[-1][1]
        assert "shop_seller_get_response" in account.http.post(url, data=good).json()
        assert answer(sign="0" * 32) == 25
        assert answer(fields="nick") == 25
        assert answer(extra="") == 25
        assert answer(sign="") == 24
        assert answer(app_key="other") == 29
        context = account.context(twin.settings())
        for params in ({"page_size": "101"}, {"start_modified": "2026-03-06 00:00:00"}, {"page_no": "0"}):
            span = {"start_modified": "2026-03-07 12:00:00", "end_modified": "2026-03-08 12:00:00", "fields": "tid"}
            with pytest.raises(Abort) as caught:
                call(context, LIST, {**span, **params})
            assert caught.value.code == "41"


def test_the_twin_runs_on_its_own(account: Any) -> None:
    command = [sys.executable, "-m", "fairlead_taobao.twin", "--port", "0", "--orders", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            port, session = words[3].rpartition(":")[2], words[5].partition("=")[2]
            account.now = dt.datetime.now(dt.UTC)
            url = f"http://127.0.0.1:{port}/router/rest"
            made = settings(app_key="12345678", app_secret="helloworld", session=session, gateway_url=url)
            assert CHANNEL.check(account.context(made)).state is HealthState.OK
        finally:
            process.terminate()
