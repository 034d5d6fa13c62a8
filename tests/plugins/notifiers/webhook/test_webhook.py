"""The webhook notifier against the published vectors, the reference library and its twin."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import standardwebhooks
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fairlead.plugins.contracts.notifier import Notice
from fairlead.plugins.errors import Abort, FixSettings, PluginError, RetryLater
from fairlead.testing.fakes import FakeClock, FakeHttp, fake_context
from fairlead_webhook.notifier import MAX_BODY, WebhookNotifier
from fairlead_webhook.settings import WebhookSettings
from fairlead_webhook.signing import BadSecret, key_of, signature
from fairlead_webhook.twin import WebhookTwin

NOW = dt.datetime(2026, 3, 8, 4, 0, tzinfo=dt.UTC)
OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NOTICE = Notice("import-7", "import.finished", NOW, "导入完成", "84287 行", {"refused": 3})


def settings(**changes: Any) -> WebhookSettings:
    return WebhookSettings.model_validate({"url": "https://receiver.invalid/hook", "secret": NEW, **changes})


def send(target: Any, given: WebhookSettings, notice: Notice = NOTICE) -> httpx2.Request:
    """The request that a notice becomes."""
    http = FakeHttp(otherwise=httpx2.Response(204))
    WebhookNotifier().notify(target.context(given, http.client()), notice)
    [request] = http.requests
    return request


def test_signatures_are_the_published_ones(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    for vector in vectors("standardwebhooks.v1"):
        given = vector["input"]
        made = signature([key_of(given["secret"])], given["msg_id"], int(given["timestamp"]), given["body"].encode())
        assert made == vector["expected"], vector["id"]


def test_the_signature_of_the_specification() -> None:
    # github.com/standard-webhooks/standard-webhooks, libraries/go/webhook_test.go
    made = signature([key_of(OLD)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(
    key=st.binary(min_size=24, max_size=64),
    text=st.text(st.characters(codec="utf-8"), max_size=200),
    title=st.text(st.characters(codec="utf-8"), max_size=50),
)
def test_the_reference_library_accepts_every_request(key: bytes, text: str, title: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    http = FakeHttp(otherwise=httpx2.Response(200))
    context = fake_context(settings(secret=secret), http=http.client(), clock=FakeClock(NOW))
    WebhookNotifier().notify(context, replace(NOTICE, text=text, title=title))
    [request] = http.requests
    with time_machine.travel(NOW, tick=False):
        payload = standardwebhooks.Webhook(secret).verify(request.content, dict(request.headers))
    assert payload == {
        "type": "import.finished",
        "timestamp": "2026-03-08T04:00:00Z",
        "data": {"key": "import-7", "title": title, "text": text, "fields": {"refused": 3}},
    }


def test_the_reference_library_refuses_other_clocks_bodies_and_keys(target: Any) -> None:
    request = send(target, settings())
    headers, good = dict(request.headers), standardwebhooks.Webhook(NEW)
    with time_machine.travel(NOW, tick=False):
        good.verify(request.content, headers)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            good.verify(request.content + b" ", headers)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(OLD).verify(request.content, headers)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            good.verify(request.content, {**headers, "webhook-id": "msg_other"})
    for minutes in (-6, 6):
        with (
            time_machine.travel(NOW + dt.timedelta(minutes=minutes), tick=False),
            pytest.raises(standardwebhooks.WebhookVerificationError),
        ):
            good.verify(request.content, headers)


def test_while_keys_change_both_receivers_are_content(target: Any) -> None:
    both = settings(previous_secrets=f" {OLD} \n {OLD}")
    request = send(target, both)
    assert request.headers["webhook-signature"].count("v1,") == 3
    with time_machine.travel(NOW, tick=False):
        for secret in (OLD, NEW):
            standardwebhooks.Webhook(secret).verify(request.content, dict(request.headers))
    for secret in (OLD, NEW):
        with WebhookTwin(now=target.clock, secret=secret) as twin:
            WebhookNotifier().notify(target.context(twin.settings(secret=NEW, previous_secrets=OLD)), NOTICE)
            other = target.context(twin.settings(secret=OLD if secret == NEW else NEW))
            with pytest.raises(Abort, match="401"):
                WebhookNotifier().notify(other, NOTICE)
        assert len(twin.taken) == 1


def test_a_notice_has_one_id_for_all_tries_and_targets_of_their_own(target: Any) -> None:
    with WebhookTwin(now=target.clock, secret=NEW) as twin:
        twin.answers.append((503, {"retry-after": "30"}))
        with pytest.raises(RetryLater) as busy:
            WebhookNotifier().notify(target.context(twin.settings()), NOTICE)
        assert busy.value.retry_after == 30.0
        target.now += dt.timedelta(hours=5)
        for _ in range(2):
            WebhookNotifier().notify(target.context(twin.settings()), NOTICE)
        WebhookNotifier().notify(replace(target.context(twin.settings()), account="other"), NOTICE)
        WebhookNotifier().notify(target.context(twin.settings()), replace(NOTICE, key="import.8"))
    assert len(twin.taken) == 3
    assert len(twin.repeats) == 1
    assert all(identifier.startswith("msg_") and "." not in identifier for identifier in twin.taken)
    assert [payload["data"]["title"] for payload in twin.taken.values()] == ["导入完成"] * 3


@pytest.mark.parametrize("seconds", [-301, 301])
def test_the_twin_wants_the_right_time(target: Any, seconds: int) -> None:
    with WebhookTwin(now=target.clock, secret=NEW) as twin:
        twin.now = lambda: target.now + dt.timedelta(seconds=seconds)
        with pytest.raises(Abort, match="401"):
            WebhookNotifier().notify(target.context(twin.settings()), NOTICE)
        twin.now = lambda: target.now + dt.timedelta(seconds=seconds - seconds // abs(seconds))
        WebhookNotifier().notify(target.context(twin.settings()), NOTICE)


@pytest.mark.parametrize(
    ("answer", "kind", "code", "wait"),
    [
        (httpx2.Response(410), FixSettings, "410", None),
        (httpx2.Response(429, headers={"retry-after": "17"}), RetryLater, "429", 17.0),
        (httpx2.Response(502), RetryLater, "502", None),
        (httpx2.Response(503, headers={"retry-after": "Sun, 08 Mar 2026 04:02:00 GMT"}), RetryLater, "503", 120.0),
        (httpx2.Response(503, headers={"retry-after": "Sun, 08 Mar 2026 03:00:00 GMT"}), RetryLater, "503", 0.0),
        (httpx2.Response(503, headers={"retry-after": "soon"}), RetryLater, "503", None),
        (httpx2.Response(504), RetryLater, "504", None),
        (httpx2.Response(500), RetryLater, "500", None),
        (httpx2.Response(400), Abort, "400", None),
        (httpx2.Response(401), Abort, "401", None),
        (httpx2.Response(404), Abort, "404", None),
        (httpx2.Response(302, headers={"location": "https://elsewhere.invalid"}), FixSettings, "302", None),
        (httpx2.ReadTimeout("slow"), RetryLater, "", None),
        (httpx2.ConnectError("down"), RetryLater, "", None),
    ],
)
def test_answers_climb_the_ladder(
    target: Any, answer: Any, kind: type[PluginError], code: str, wait: float | None
) -> None:
    http = FakeHttp(otherwise=answer)
    with pytest.raises(PluginError) as raised:
        WebhookNotifier().notify(target.context(settings(), http.client()), NOTICE)
    assert type(raised.value) is kind
    assert (raised.value.code, getattr(raised.value, "retry_after", None)) == (code, wait)
    assert len(http.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered_whatever_it_says(target: Any, status: int) -> None:
    http = FakeHttp(otherwise=httpx2.Response(status, text="<html>"))
    WebhookNotifier().notify(target.context(settings(), http.client()), NOTICE)
    assert len(http.requests) == 1


@pytest.mark.parametrize("text", ["长" * 20_000, '"\\\x01' * 9_000, "👍🏽" * 6_000])
def test_long_notices_are_shortened_to_the_limit(target: Any, text: str) -> None:
    request = send(target, settings(), replace(NOTICE, text=text))
    data = json.loads(request.content)["data"]
    assert MAX_BODY - 12 < len(request.content) <= MAX_BODY
    assert text.startswith(data["text"].removesuffix("… (shortened)"))
    assert data["fields"] == {"refused": 3}
    wide = send(target, settings(), replace(NOTICE, text=text, data={"rows": list(range(9_000))}))
    assert json.loads(wide.content)["data"]["fields"] == {}
    with pytest.raises(Abort, match="too long"):
        send(target, settings(), replace(NOTICE, title="长" * 9_000))


def test_values_that_are_not_json_become_text(target: Any) -> None:
    request = send(target, settings(), replace(NOTICE, data={"day": dt.date(2026, 1, 5)}))
    assert json.loads(request.content)["data"]["fields"] == {"day": "2026-01-05"}


@pytest.mark.parametrize("wrong", ["whsec_not base64!", "whsec_", "", "whsec_c2hvcnQ=", base64.b64encode(bytes(65))])
def test_settings_refuse_bad_secrets_without_showing_them(wrong: str | bytes) -> None:
    text = wrong if isinstance(wrong, str) else wrong.decode()
    for field in ("secret", "previous_secrets"):
        if field == "previous_secrets" and not text:
            continue
        with pytest.raises(ValidationError) as refusal:
            settings(**{field: text})
        assert text in ("", "whsec_") or text not in str(refusal.value)


def test_secrets_may_lack_padding_and_prefix() -> None:
    assert key_of("whsec_ZmFrZXNlY3JldGZha2VzZWNyZXQ") == key_of("ZmFrZXNlY3JldGZha2VzZWNyZXQ=")
    with pytest.raises(BadSecret):
        key_of("whsec_")
