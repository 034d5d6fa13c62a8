"""Mails as bytes: headers that cannot be injected into, tokens that cannot be made up, settings that are safe."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fairlead.plugins.contracts.channel import OutgoingMessage
from fairlead_email.addresses import BadAddress, checked_address, is_genuine, make_token, message_id, return_path
from fairlead_email.mapping import NotAMail, id_of, one_line, to_mail
from fairlead_email.settings import EmailSettings
from fairlead_email.twin import misformed

NOW = dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.UTC)
TO = "li@example.com"


def settings(**changes: Any) -> EmailSettings:
    return EmailSettings.model_validate({"host": "mx.example", "from_address": "news@shop.example", **changes})


def mail(account: EmailSettings | None = None, **fields: Any) -> EmailMessage:
    message = OutgoingMessage(**{"key": "k", "address": TO, "text": "你好", **fields})
    raw = to_mail(message, TO, account or settings(), NOW)
    assert misformed(raw) == ""
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_the_headers_of_a_marketing_mail() -> None:
    account = settings(
        from_name='花店，"北京"', reply_to="help@shop.example", unsubscribe_mailto="u@shop.example", ad_label="（广告）"
    )
    parsed = mail(account, subject="春天来了", unsubscribe_url="https://e.example/u?p=1")
    token = make_token("k", None)
    assert {name: str(parsed[name]) for name in parsed if name not in ("Content-Type", "MIME-Version")} == {
        "From": '"花店，\\"北京\\"" <news@shop.example>',
        "To": TO,
        "Subject": "（广告）春天来了",
        "Date": "Mon, 05 Jan 2026 10:00:00 +0000",
        "Message-ID": f"<{token}@shop.example>",
        "Reply-To": "help@shop.example",
        "Precedence": "bulk",
        "List-Unsubscribe": f"<https://e.example/u?p=1>, <mailto:u@shop.example?subject=unsubscribe%20{token}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Content-Transfer-Encoding": parsed["Content-Transfer-Encoding"],
    }


def test_a_transactional_mail_is_not_bulk_and_has_no_label() -> None:
    parsed = mail(settings(ad_label="（广告）"), subject="您的订单", purpose="transactional")
    assert str(parsed["subject"]) == "您的订单"
    assert parsed["precedence"] is None
    assert parsed["list-unsubscribe"] is None


def test_one_click_is_promised_over_https_only() -> None:
    parsed = mail(unsubscribe_url="http://localhost/u")
    assert str(parsed["list-unsubscribe"]) == "<http://localhost/u>"
    assert parsed["list-unsubscribe-post"] is None


def test_long_addresses_in_list_headers_stay_readable() -> None:
    url = "https://e.example/u/" + "a" * 700
    message = OutgoingMessage(key="k", address=TO, text="x", unsubscribe_url=url)
    raw = to_mail(message, TO, settings(unsubscribe_mailto="u@shop.example"), NOW)
    assert f"<{url}>".encode() in raw
    assert misformed(raw) == ""


def test_an_encoded_word_in_an_unsubscribe_address_stays_a_part_of_it() -> None:
    url = "https://e.example/=?utf-8?q?=0D=0ABcc:x?="
    raw = to_mail(OutgoingMessage(key="k", address=TO, text="x", unsubscribe_url=url), TO, settings(), NOW)
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in raw
    assert b"\nBcc" not in raw


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://e/\r\nBcc: x@y.z", "https://e/>,<x", "https://e/新", "https://"]
)
def test_odd_unsubscribe_addresses_are_refused(url: str) -> None:
    with pytest.raises(NotAMail):
        mail(unsubscribe_url=url)


INJECTIONS = [
    "x\r\nBcc: victim@example.com",
    "x\nBcc: v@e.c",
    "x\r\n\r\nbody",
    "x\rBcc: v",
    "x\u2028Bcc: v",
    "x\x85Bcc: v",
    "x\0y",
    "=?utf-8?q?x=0D=0ABcc:_v=40e.c?=",
    "a =?utf-8?b?eA0KQmNjOiB2?= b",
    '"=?utf-8?q?=0D=0ABcc:_v?=" <x@y.z>,',
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_header_can_be_injected(text: str) -> None:
    parsed = mail(settings(from_name=text, ad_label=text[:20]), subject=text)
    assert parsed["bcc"] is None
    assert set(parsed.keys()) <= {
        "From", "To", "Subject", "Date", "Message-ID", "Precedence", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding",
    }  # fmt: skip
    assert str(parsed["subject"]) == one_line(text[:20] + text)
    (sender,) = parsed["from"].addresses
    assert (sender.addr_spec, sender.display_name) == ("news@shop.example", one_line(text))


ANY = st.text(st.characters(codec="utf-8"), max_size=300)


@hypothesis_settings(deadline=None, max_examples=60)
@given(subject=ANY, name=ANY.map(lambda text: text[:100]), text=ANY.filter(str.strip))
@example(subject="000000¡¡¡¡¡¡𐀀𐀀𐀀𐀀𐀀𐀀 ¡ ¡", name="花店 北京 有限 公司 " * 8, text="x")
def test_any_text_arrives(subject: str, name: str, text: str) -> None:
    parsed = mail(settings(from_name=name), subject=subject, text=text, html=f"<p>{text}</p>")
    assert parsed.get_content_type() == "multipart/alternative"
    body = parsed.get_body(("plain",))
    assert isinstance(body, EmailMessage)
    # Line ends become the mail's own; everything else arrives letter by letter.
    assert body.get_content().encode().splitlines() == text.encode().splitlines()
    assert str(parsed["subject"]) == one_line(subject)
    # The library's own reader puts blanks between the encoded words of a long name; RFC 2047 6.2 says there are none.
    plain = email.message_from_bytes(parsed.as_bytes(policy=email.policy.SMTP.clone(refold_source="none")))
    assert str(make_header(decode_header(plain["From"]))).strip() == f"{one_line(name)} <news@shop.example>".strip()


def test_html_alone_is_html() -> None:
    assert mail(text="", html="<p>x</p>").get_content_type() == "text/html"


@pytest.mark.parametrize("fields", [{"text": ""}, {"text": "\ud800"}, {"subject": "\ud800"}])
def test_what_is_no_mail_is_said_so(fields: dict[str, str]) -> None:
    with pytest.raises(NotAMail):
        mail(**fields)


# -- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ("a@b.example", "a@b.example"),
        (" First.Last+tag@B.Example ", "First.Last+tag@b.example"),
        ("a@例子.中国", "a@xn--fsqu00a.xn--fiqs8s"),
        ("o'neil=x@b.example", "o'neil=x@b.example"),
    ],
)
def test_good_addresses(given: str, checked: str) -> None:
    assert checked_address(given) == checked


@pytest.mark.parametrize(
    "given",
    [
        "", "a", "@b.example", "a@", "a b@c.example", "a@b..example", "a@-b.example", "a@b.example\n", "\na@b.example",
        "a@b.example>", "<a@b.example>", "a,b@c.example", '"a b"@c.example', "a..b@c.example", ".a@c.example",
        "张@c.example", "a@b.example\r\nRCPT TO:<x@y.z", "a" * 65 + "@b.example", "a@" + "b" * 64 + ".example",
        "a@[127.0.0.1]", "=?utf-8?q?=0D=0A?=@b.example", "a@" + "b." * 5000 + "c", "\ud800@b.example",
        "a@\ud800.example",
    ],
)  # fmt: skip
def test_bad_addresses(given: str) -> None:
    with pytest.raises(BadAddress) as caught:
        checked_address(given)
    assert "@" not in str(caught.value)


def test_tokens_are_stable_and_signed() -> None:
    token = make_token("key", "secret")
    assert token == make_token("key", "secret")
    assert is_genuine(token, "secret")
    assert len({make_token(f"key{n}", "secret")[:26] for n in range(1000)}) == 1000
    for forged in (token[:26], make_token("key", "other"), token[:-1] + ("a" if token[-1] != "a" else "b"), ""):
        assert not is_genuine(forged, "secret")
    assert len(return_path(token, "b.example").partition("@")[0]) <= 64
    assert message_id(token, "b.example") == id_of("key", settings(verp_secret="secret", message_id_domain="b.example"))


# -- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"security": "none"},
        {"security": "none", "allow_unencrypted": True, "username": "u"},
        {"return_path_domain": "b.example"},
        {"from_address": ""},
        {"from_address": "news@shop.example\r\nX: y"},
        {"reply_to": "nobody"},
        {"ehlo_name": "a b"},
        {"host": "a b"},
        {"unknown": 1},
    ],
)
def test_unsafe_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_secrets_are_not_shown() -> None:
    shown = repr(settings(password="pw1", verp_secret="vs1", webhook_secret="ws1"))
    assert not any(secret in shown for secret in ("pw1", "vs1", "ws1"))
