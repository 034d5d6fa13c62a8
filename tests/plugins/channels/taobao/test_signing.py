"""Signatures of requests and callbacks, against the published vectors and against forgery."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from fairlead.plugins.contracts.channel import InboundRequest
from fairlead.plugins.errors import FixCredentials
from fairlead_taobao.client import CHINA, spi_sign, top_sign, verify_spi

# The worked example of developer.alibaba.com, article 101617.
PUBLISHED = {
    "method": "taobao.item.seller.get",
    "app_key": "12345678",
    "session": "test",
    "timestamp": "2016-01-01 12:00:00",
    "format": "json",
    "v": "2.0",
    "sign_method": "md5",
    "fields": "num_iid,title,nick,price,num",
    "num_iid": "11223344",
}
NOW = dt.datetime(2026, 1, 1, 12, 5, tzinfo=CHINA)
SECRET = "fakesecret"


def test_the_platforms_own_example() -> None:
    assert top_sign(PUBLISHED, "helloworld", "md5") == "66987CB115214E59E6EC978214934FB8"
    assert top_sign({**PUBLISHED, "title": "", "nick": "  ", "sign": "X"}, "helloworld", "md5") == (
        "66987CB115214E59E6EC978214934FB8"
    )


def test_all_request_vectors(vectors: Any) -> None:
    for vector in vectors("taobao.top_sign"):
        given = vector["input"]
        assert (
            top_sign(given["params"], given["secret"], given["sign_method"], given.get("body") or "")
            == vector["expected"]
        ), vector["id"]


def test_all_callback_vectors(vectors: Any) -> None:
    for vector in vectors("taobao.spi_verify"):
        given = vector["input"]
        body = (given["body"] or "").encode(given["charset"])
        assert spi_sign(given["params"], body, given["secret"], given["charset"]) == vector["expected"], vector["id"]


def test_an_unknown_method_is_not_signed() -> None:
    with pytest.raises(ValueError, match="sign_method"):
        top_sign(PUBLISHED, "x", "sha1")


def callback(body: bytes = b'{"tid":"1"}', kind: str = "application/json", **query: str) -> InboundRequest:
    params = {"app_key": "23000001", "timestamp": "2026-01-01 12:00:00", "targetAppKey": "", **query}
    params["sign"] = spi_sign(params, body, SECRET)
    return InboundRequest("POST", "/spi", params, {"content-type": kind}, body)


def test_a_genuine_callback_names_its_delivery() -> None:
    request = callback()
    assert verify_spi(request, SECRET, NOW) == request.query["sign"]


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, body=r.body + b" "),
        lambda r: replace(r, body=b""),
        lambda r: replace(r, query={**r.query, "app_key": "2"}),
        lambda r: replace(r, query={**r.query, "extra": ""}),
        lambda r: replace(r, query={k: v for k, v in r.query.items() if k != "targetAppKey"}),
        lambda r: replace(r, query={k: v for k, v in r.query.items() if k != "sign"}),
        lambda r: replace(r, query={**r.query, "sign": r.query["sign"].lower()}),
        lambda r: replace(r, query={**r.query, "sign": ""}),
        lambda r: replace(r, query={**r.query, "sign": "签名" * 16}),
        lambda r: replace(r, query={**r.query, "sign": "\ud800"}),
        lambda r: replace(r, query={**r.query, "x": "\ud800"}),
        lambda r: replace(r, headers={"content-type": "application/json;charset=utf-7"}),
        lambda r: replace(r, headers={"content-type": "application/json;charset=zip"}),
        lambda r: replace(callback(b"b=1&a=2"), headers={"content-type": "application/x-www-form-urlencoded"}),
        lambda r: replace(r, headers={**r.headers, "top-sign-list": "x-extra"}),
    ],
)
def test_a_changed_callback_is_forged(change: Any) -> None:
    with pytest.raises(FixCredentials):
        verify_spi(change(callback()), SECRET, NOW)


def test_the_secret_decides() -> None:
    with pytest.raises(FixCredentials):
        verify_spi(callback(), "othersecret", NOW)


@pytest.mark.parametrize("seconds", [-601, 601, 86400])
def test_an_old_or_early_callback_is_refused(seconds: int) -> None:
    sent = dt.datetime(2026, 1, 1, 12, 0, tzinfo=CHINA)
    with pytest.raises(FixCredentials):
        verify_spi(callback(), SECRET, sent + dt.timedelta(seconds=seconds))
    for edge in (-600, 600):
        assert verify_spi(callback(), SECRET, sent + dt.timedelta(seconds=edge))


@pytest.mark.parametrize("timestamp", ["", "soon", "2026-13-01 00:00:00", "1767240000"])
def test_a_signed_callback_without_a_time_is_refused(timestamp: str) -> None:
    with pytest.raises(FixCredentials):
        verify_spi(callback(timestamp=timestamp), SECRET, NOW)


def test_form_fields_and_listed_headers_are_signed_in_the_callbacks_charset() -> None:
    form = {"nick": "小明", "empty": ""}
    query = {"app_key": "1", "timestamp": "2026-01-01 12:00:00"}
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=GBK",
        "top-sign-list": "X-Shop,X-None",
        "x-shop": "%B5%EA",
    }
    signed = {**query, **form, "X-Shop": "店", "X-None": ""}
    query["sign"] = spi_sign(signed, b"", SECRET, "gbk")
    body = urlencode(form, encoding="gbk").encode()
    assert verify_spi(InboundRequest("POST", "/spi", query, headers, body), SECRET, NOW) == query["sign"]
