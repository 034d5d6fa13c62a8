"""The Feishu notifier against the published vectors and its twin."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from fairlead.plugins.contracts.notifier import Notice
from fairlead.plugins.errors import Abort, FixCredentials, FixSettings, OutcomeUnknown, PluginError, RetryLater
from fairlead.testing.fakes import FakeHttp
from fairlead_feishu.client import MAX_BODY, SHORTENED, body_of, bot_sign
from fairlead_feishu.notifier import FeishuNotifier
from fairlead_feishu.settings import FeishuSettings
from fairlead_feishu.twin import FeishuTwin

SECRET = "SECfake"
NOW = dt.datetime(2026, 3, 8, 4, 0, tzinfo=dt.UTC)
NOTICE = Notice("import-7", "import.finished", NOW, "导入完成", "84287 行", {"refused": 3, "file": "订单.csv"})


def test_the_signature_is_the_published_one(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    for vector in vectors("feishu.bot_sign"):
        given = vector["input"]
        assert bot_sign(int(given["timestamp"]), given["secret"]) == vector["expected"], vector["id"]


def test_the_signature_of_go_lark() -> None:
    # GitHub go-lark/lark, crypto_test.go
    assert bot_sign(1661860880, "xxx") == "QnWVTSBe6FmQDE0bG6X0mURbI+DnvVyu1h+j5dHOjrU="


def test_a_notice_arrives_with_its_title_text_and_facts(target: Any) -> None:
    with FeishuTwin(now=target.clock, secret=SECRET) as twin:
        FeishuNotifier().notify(target.context(twin.settings()), NOTICE)
    [message] = twin.messages
    post = message["content"]["post"]["zh_cn"]
    assert post["title"] == "导入完成"
    assert post["content"] == [[{"tag": "text", "text": "84287 行\nrefused: 3\nfile: 订单.csv"}]]
    assert message["timestamp"] == str(int(target.now.timestamp()))


def test_without_a_secret_nothing_is_signed(target: Any) -> None:
    with FeishuTwin(now=target.clock) as twin:
        FeishuNotifier().notify(target.context(twin.settings()), NOTICE)
    assert set(twin.messages[0]) == {"msg_type", "content"}


def refusal(target: Any, twin: FeishuTwin, notice: Notice = NOTICE, **changes: Any) -> PluginError:
    with pytest.raises(PluginError) as raised:
        FeishuNotifier().notify(target.context(twin.settings(**changes)), notice)
    return raised.value


def test_a_wrong_secret_or_clock_is_a_matter_of_credentials(target: Any) -> None:
    with FeishuTwin(now=target.clock, secret=SECRET) as twin:
        wrong = refusal(target, twin, secret="other")
        assert isinstance(wrong, FixCredentials)
        assert wrong.code == "19021"
        assert isinstance(refusal(target, twin, secret=""), FixCredentials)
        platform, target.now = target.now, target.now + dt.timedelta(minutes=59, seconds=59)
        twin.now = lambda: platform
        FeishuNotifier().notify(target.context(twin.settings()), NOTICE)
        target.now += dt.timedelta(seconds=2)
        assert isinstance(refusal(target, twin), FixCredentials)
    assert len(twin.messages) == 1


def test_a_keyword_is_added_where_it_is_missing(target: Any) -> None:
    with FeishuTwin(now=target.clock, keyword="营销") as twin:
        assert isinstance(refusal(target, twin, keyword=""), FixSettings)
        FeishuNotifier().notify(target.context(twin.settings()), NOTICE)
        FeishuNotifier().notify(target.context(twin.settings()), replace(NOTICE, title="营销提醒"))
        FeishuNotifier().notify(target.context(twin.settings()), replace(NOTICE, title="长" * 500, text="x" * 30_000))
    titles = [message["content"]["post"]["zh_cn"]["title"] for message in twin.messages]
    assert titles[:2] == ["导入完成 营销", "营销提醒"]
    assert titles[2].endswith(" 营销")


def test_too_many_are_told_to_wait(target: Any) -> None:
    with FeishuTwin(now=target.clock, per_second=3, per_minute=5) as twin:
        for _ in range(3):
            FeishuNotifier().notify(target.context(twin.settings()), NOTICE)
        busy = refusal(target, twin)
        assert isinstance(busy, RetryLater)
        assert (busy.code, busy.retry_after) == ("11232", 60.0)
        target.now += dt.timedelta(seconds=busy.retry_after)
        for _ in range(3):
            FeishuNotifier().notify(target.context(twin.settings()), NOTICE)
    assert len(twin.messages) == 6


def test_an_unknown_bot_is_a_matter_of_settings(target: Any) -> None:
    with FeishuTwin(now=target.clock) as twin:
        assert isinstance(refusal(target, twin, webhook_url=twin.url + "x"), FixSettings)


@pytest.mark.parametrize("text", ["长" * 20_000, "a" * 50_000, '"\\\n' * 9_000, "👍🏽" * 6_000, "\x01" * 20_000])
def test_long_texts_are_shortened_to_the_limit(target: Any, text: str) -> None:
    with FeishuTwin(now=target.clock, secret=SECRET) as twin:
        FeishuNotifier().notify(target.context(twin.settings()), replace(NOTICE, text=text))
    post = twin.messages[0]["content"]["post"]["zh_cn"]
    arrived = post["content"][0][0]["text"]
    assert arrived.endswith(SHORTENED)
    assert text.startswith(arrived.removesuffix(SHORTENED))
    body = body_of(replace(NOTICE, text=text), timestamp=1, secret=SECRET, keyword="")
    assert MAX_BODY - 12 < len(body) <= MAX_BODY


def test_an_empty_text_is_replaced_by_the_title(target: Any) -> None:
    with FeishuTwin(now=target.clock) as twin:
        FeishuNotifier().notify(target.context(twin.settings()), replace(NOTICE, text="", data={}))
    assert twin.messages[0]["content"]["post"]["zh_cn"]["content"][0][0]["text"] == "导入完成"


@pytest.mark.parametrize(
    ("answer", "kind", "code", "wait"),
    [
        (httpx2.Response(400, json={"code": 9499, "msg": "Bad Request"}), Abort, "9499", None),
        (httpx2.Response(200, json={"code": 19022, "msg": "Ip Not Allowed"}), FixSettings, "19022", None),
        (httpx2.Response(200, json={"StatusCode": 19024}), FixSettings, "19024", None),
        (httpx2.Response(200, json={"code": 77777, "msg": "x"}), Abort, "77777", None),
        (
            httpx2.Response(429, json={"code": 99991400}, headers={"x-ogw-ratelimit-reset": "9"}),
            RetryLater,
            "99991400",
            9.0,
        ),
        (httpx2.Response(400, json={"code": 99991400}), RetryLater, "99991400", 60.0),
        (httpx2.Response(429, headers={"retry-after": "17"}), RetryLater, "429", 17.0),
        (httpx2.Response(500, text="oops"), OutcomeUnknown, "500", None),
        (httpx2.Response(200, text="<html>login</html>"), OutcomeUnknown, "", None),
        (httpx2.Response(200, json={"code": True}), OutcomeUnknown, "", None),
        (httpx2.Response(302, headers={"location": "https://x.invalid/"}), FixSettings, "302", None),
        (httpx2.ReadTimeout("slow"), OutcomeUnknown, "", None),
        (httpx2.ConnectError("down"), RetryLater, "", None),
    ],
)
def test_answers_climb_the_ladder(
    target: Any, answer: Any, kind: type[PluginError], code: str, wait: float | None
) -> None:
    settings = FeishuSettings.model_validate({"webhook_url": "https://open.feishu.invalid/hook/t0ken"})
    with pytest.raises(PluginError) as raised:
        FeishuNotifier().notify(target.context(settings, FakeHttp(otherwise=answer).client()), NOTICE)
    assert type(raised.value) is kind
    assert (raised.value.code, getattr(raised.value, "retry_after", None)) == (code, wait)
    assert "t0ken" not in str(raised.value)


def test_old_success_answers_count(target: Any) -> None:
    settings = FeishuSettings.model_validate({"webhook_url": "https://open.feishu.invalid/hook/t0ken"})
    http = FakeHttp().reply(json={"StatusCode": 0, "StatusMessage": "success"})
    FeishuNotifier().notify(target.context(settings, http.client()), NOTICE)
    assert len(http.requests) == 1


def test_settings_hide_the_address_and_refuse_others() -> None:
    settings = FeishuSettings.model_validate({"webhook_url": "https://open.feishu.cn/hook/t0ken", "secret": "s3"})
    assert "t0ken" not in repr(settings) + json.dumps(settings.model_dump(mode="json"))
    for wrong in ("ftp://x", "open.feishu.cn", ""):
        with pytest.raises(ValidationError) as refusal:
            FeishuSettings.model_validate({"webhook_url": wrong})
        assert not wrong or wrong not in str(refusal.value)


def test_the_twin_refuses_what_is_no_message() -> None:
    twin = FeishuTwin(now=lambda: NOW)
    path = "/open-apis/bot/v2/hook/" + twin.bot
    for body in (b"", b"[]", b'{"msg_type":"text"}', b'{"msg_type":"post","content":{"post":{}}}', b" " * 30_000):
        status, answer = twin.hook(path, body)
        assert (status, answer["code"]) == (400, 9499)
    assert twin.messages == []
