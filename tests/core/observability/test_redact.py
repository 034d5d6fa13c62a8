"""What must not be read is hidden; what operators need stays."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fairlead.observability.redact import is_sensitive_key, redact, redact_text

TOKEN = "fl_Ab3dEfGh1jKlMn0pQrStUvWxYz-_0123456789abcde"

HIDDEN = [
    ("13812345678", "13812345678"),
    ("call +86 138-1234-5678 now", "138-1234-5678"),
    ("电话13812345678。", "13812345678"),
    ("+44 20 7946 0958", "7946"),
    ("wang.li+tag@mail.example.com", "wang.li"),
    ("110101199003078515", "110101199003078515"),
    ("11010119900307851X", "11010119900307851X"),
    (f"got {TOKEN}", TOKEN),
    ("Authorization: Bearer abc.def-123", "abc.def"),
    ("postgresql://user:p4ssw0rd@host/db", "p4ssw0rd"),
    ("https://x.test/hook?access_token=abc123&x=1", "abc123"),
    ('{"app_secret": "abc123"}', "abc123"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "eyJzdWIi"),
    ("k1=" + "Ab3/" * 10 + "Ab3=", "Ab3/Ab3/"),
    ("key Ab3dEfGh1jKlMn0pQrStUvWxYzAb3dEfGh1jKlMn0pQ", "jKlMn0p"),
]

KEPT = [
    "imported 84287 events in 12 s",
    "2026-01-05T10:00:00Z",
    "1767607200000",  # epoch milliseconds
    "request 0f8fad5b-d9b3-4f1e-9d2b-6a7c1e2d3f40",
    "revision 0001, digest e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "plugin fairlead_taobao failed with KeyError at mapping.py:120",
    "member:12/token:34",
    "0.13812345678",
    "价格 1999 元",
]


@pytest.mark.parametrize(("text", "secret"), HIDDEN)
def test_hidden_in_texts(text: str, secret: str) -> None:
    assert secret not in redact_text(text)


@pytest.mark.parametrize("text", KEPT)
def test_kept_in_texts(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "key",
    ["password", "appSecret", "access-token", "Phone", "receiver_mobile", "e_mail", "openid", "id_card", "cookie"],
)
def test_sensitive_names(key: str) -> None:
    assert is_sensitive_key(key)
    assert "x1" not in repr(redact({key: "x1", "deep": [{key: {"a": "x1"}}]}))


@pytest.mark.parametrize("key", ["token_id", "state", "channel", "client_id", "permissions", "to", "count"])
def test_harmless_names(key: str) -> None:
    assert redact({key: "x1"}) == {key: "x1"}


def test_every_kind_of_value() -> None:
    day = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    value: dict[str, Any] = {
        "n": 5,
        "f": 0.5,
        "t": True,
        "none": None,
        "b": b"secret",
        "at": day,
        "set": {"b", "a"},
        "number": 13812345678,
        "millis": 1767607200000,
    }
    assert redact(value) == {
        "n": 5,
        "f": 0.5,
        "t": True,
        "none": None,
        "b": "[hidden]",
        "at": day.isoformat(),
        "set": ["a", "b"],
        "number": "[phone]",
        "millis": 1767607200000,
    }


def test_it_is_bounded() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert len(repr(redact(loop))) < 100
    assert len(redact_text("a" * 100_000)) < 10_000
    assert len(redact(list(range(10_000)))) == 200
