"""What comes back: real reports count, forged ones and out-of-office answers do not."""

from __future__ import annotations

import datetime as dt
import email
import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest

from fairlead.plugins.contracts.channel import InboundRequest, Receipt, ReceiptState
from fairlead.plugins.errors import FixCredentials
from fairlead_email.addresses import make_token, return_path
from fairlead_email.bounces import parse_dsn, read_receipts
from fairlead_email.channel import EmailChannel, signature
from fairlead_email.mapping import id_of
from fairlead_email.settings import EmailSettings

CHANNEL = EmailChannel()
NOW = dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.UTC)
SECRET, HOOK = "verp secret", "hook secret"
SETTINGS = EmailSettings.model_validate(
    {
        "host": "mx.example",
        "from_address": "news@shop.example",
        "return_path_domain": "bounce.shop.example",
        "unsubscribe_mailto": "leave@shop.example",
        "verp_secret": SECRET,
        "webhook_secret": HOOK,
    }
)
TOKEN = make_token("key", SECRET)
VERP = return_path(TOKEN, "bounce.shop.example")
MESSAGE_ID = id_of("key", SETTINGS)


def block(action: str = "failed", status: str = "5.1.1", recipient: str = "li@example.com", **more: str) -> str:
    fields = {"Final-Recipient": f"rfc822; {recipient}", "Action": action, "Status": status, **more}
    return "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in fields.items())


def report(
    *blocks: str,
    to: str = VERP,
    returned: str = "To: li@example.com\nMessage-ID: <x@y.example>\n",
    kind: str = "text/rfc822-headers",
) -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example\nTo: {to}\nSubject: Undelivered\nAuto-Submitted: auto-replied\n"
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="B1"\n\n'
        "--B1\nContent-Type: text/plain; charset=utf-8\n\n投递失败\n\n"
        "--B1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"
        + "\n".join(blocks)
        + f"\n--B1\nContent-Type: {kind}\n\n{returned}\n--B1--\n"
    ).encode()


def receipts(raw: bytes, settings: EmailSettings = SETTINGS) -> list[Receipt]:
    return list(read_receipts(raw, settings, NOW))


def states(raw: bytes) -> list[str]:
    return [receipt.state.value for receipt in receipts(raw)]


def test_all_report_vectors(vectors: Any) -> None:
    for vector in vectors("email.dsn_parse"):
        raw: str = vector["input"]["raw"]
        for text in (raw, raw.replace("\n", "\r\n")):
            found = [
                {"recipient": d.recipient, "action": d.action, "status": d.status} for d in parse_dsn(text.encode())
            ]
            assert found == vector["expected"], vector["id"]


def test_vectors_without_our_token_say_nothing(vectors: Any) -> None:
    for vector in vectors("email.dsn_parse"):
        assert receipts(vector["input"]["raw"].encode()) == []


def test_a_hard_bounce_leads_back_to_its_mail() -> None:
    assert receipts(report(block())) == [Receipt(ReceiptState.BOUNCED, NOW, external_id=MESSAGE_ID, detail="5.1.1")]


@pytest.mark.parametrize(
    ("action", "status", "diagnostic", "expected"),
    [
        ("failed", "5.1.1", "", ["bounced"]),
        ("Failed", "5.1.2 (no host)", "", ["bounced"]),
        ("failed", "5.1.3", "", ["bounced"]),
        ("failed", "5.1.6", "", ["bounced"]),
        ("failed", "5.1.10", "", ["bounced"]),
        ("failed", "5.4.4", "", ["bounced"]),
        ("failed", "5.1.100", "", ["soft_bounced"]),
        ("failed", "5.2.2 (mailbox full)", "", ["soft_bounced"]),
        ("failed", "5.7.1", "smtp; 550 5.1.1 unknown", ["soft_bounced"]),
        ("failed", "5.7.26", "", ["soft_bounced"]),
        ("failed", "5.2.1", "", ["soft_bounced"]),
        ("failed", "4.4.7", "", ["soft_bounced"]),
        ("failed", "5.0.0", "", ["soft_bounced"]),
        ("failed", "9.9.9", "", ["soft_bounced"]),
        ("failed", "5.0.0", "smtp; 550 5.1.1 <x@qq.com>: 收件人不存在", ["bounced"]),
        ("failed", "", "smtp;550-5.1.1 The email account that you tried", ["bounced"]),
        ("failed", "5.0.0", "smtp; 550 Mailbox not found 10.5.1.1", ["soft_bounced"]),
        ("failed", "4.0.0", "smtp; 550 5.1.1 gone", ["soft_bounced"]),
        ("delayed", "4.4.1", "", []),
        ("relayed", "2.0.0", "", []),
        ("expanded", "2.0.0", "", []),
        ("delivered", "2.1.5", "", ["delivered"]),
        ("", "5.1.1", "", []),
    ],
)
def test_what_a_report_means(action: str, status: str, diagnostic: str, expected: list[str]) -> None:
    more = {"Diagnostic_Code": diagnostic} if diagnostic else {}
    assert states(report(block(action, status, **more))) == expected


def test_policy_is_said_to_be_policy() -> None:
    (receipt,) = receipts(report(block(status="5.7.1")))
    assert receipt.detail == "5.7.1 refused by policy"


@pytest.mark.parametrize(
    "raw",
    [
        report(block(), to="b-x@bounce.shop.example"),
        report(block(), to=VERP.replace("bounce.", "other.")),
        report(block(), to=f"x{VERP}"),
        report(block(), to=return_path(TOKEN[:26], "bounce.shop.example")),
        report(block(), to=return_path(make_token("key", "guessed"), "bounce.shop.example")),
        report(block(), to="postmaster@shop.example", returned=f"Message-ID: <{TOKEN[:26]}@shop.example>\n"),
        report(block(), to="postmaster@shop.example", returned=f"Message-ID: <{TOKEN}@elsewhere.example>\n"),
    ],
)
def test_a_report_without_our_token_is_made_up(raw: bytes) -> None:
    assert receipts(raw) == []


@pytest.mark.parametrize(
    "raw",
    [
        report(block(), to=VERP.upper()),
        report(block(), to=f'"Bounces" <{VERP}>'),
        report(block(), to="catchall@shop.example").replace(b"Subject:", f"Delivered-To: {VERP}\nSubject:".encode()),
        report(block(), to="postmaster@shop.example", returned=f"Message-ID: {MESSAGE_ID}\n"),
        report(block(), to="postmaster@shop.example", returned=f"Return-Path: <{VERP}>\n"),
        report(block(), to="p@shop.example", returned=f"Message-ID: {MESSAGE_ID}\n\nbody\n", kind="message/rfc822"),
    ],
)
def test_where_the_token_may_stand(raw: bytes) -> None:
    assert [receipt.external_id for receipt in receipts(raw)] == [MESSAGE_ID]


def test_a_dead_address_behind_a_list_is_not_the_person() -> None:
    blocks = [block(recipient="member1@example.org"), block("relayed", "2.0.0", "member2@example.org")]
    assert states(report(*blocks)) == ["soft_bounced"]
    mine = block(recipient="alias@example.org", Original_Recipient="rfc822;LI@example.com")
    assert states(report(mine, blocks[1])) == ["bounced"]


def test_without_a_secret_the_address_is_all_there_is() -> None:
    bare = SETTINGS.model_copy(update={"verp_secret": None, "return_path_domain": ""})
    (receipt,) = receipts(report(block()), bare)
    assert (receipt.external_id, receipt.address) == ("", "li@example.com")
    unsigned = id_of("key", bare)
    (receipt,) = receipts(report(block(), returned=f"Message-ID: {unsigned}\n"), bare)
    assert (receipt.external_id, receipt.address) == (unsigned, "")


def test_a_report_inside_the_returned_mail_is_not_ours() -> None:
    inner = report(block()).decode()
    raw = report(block("delayed", "4.4.1"), returned=inner, kind="message/rfc822")
    assert receipts(raw) == []


OUT_OF_OFFICE = (
    f"From: li@example.com\nTo: {VERP}\nSubject: =?utf-8?b?6Ieq5Yqo5Zue5aSN?= unsubscribe {TOKEN}\n"
    "Auto-Submitted: auto-replied\nContent-Type: text/plain; charset=utf-8\n\n550 5.1.1 我在休假\n"
).encode()


def test_out_of_office_is_nothing() -> None:
    assert receipts(OUT_OF_OFFICE) == []
    assert receipts(OUT_OF_OFFICE.replace(VERP.encode(), b"leave@shop.example")) == []


# -- complaints and unsubscribe mails -------------------------------------------------------------------------------


def complaint(kind: str = "abuse", sender: str = VERP, message: str = "<x@y.example>") -> bytes:
    return (
        "From: fbl@provider.example\nTo: fbl@shop.example\nSubject: complaint\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="B2"\n\n'
        "--B2\nContent-Type: text/plain\n\nabuse\n\n"
        f"--B2\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nUser-Agent: x/1\nVersion: 1\n"
        f"Original-Mail-From: <{sender}>\nOriginal-Rcpt-To: <li@example.com>\n\n"
        f"--B2\nContent-Type: message/rfc822\n\nFrom: news@shop.example\nMessage-ID: {message}\n\nhi\n--B2--\n"
    ).encode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (complaint(), ["complained"]),
        (complaint("Abuse"), ["complained"]),
        (complaint(sender="news@shop.example", message=MESSAGE_ID), ["complained"]),
        (complaint("opt-out"), ["unsubscribed"]),
        (complaint("not-spam"), []),
        (complaint("virus"), []),
        (complaint(sender="news@shop.example"), []),
    ],
)
def test_complaints(raw: bytes, expected: list[str]) -> None:
    found = receipts(raw)
    assert [receipt.state.value for receipt in found] == expected
    assert all(receipt.external_id == MESSAGE_ID for receipt in found)


def leave(subject: str, to: str = "leave@shop.example") -> bytes:
    return f"From: li@example.com\nTo: {to}\nSubject: {subject}\n\n\n".encode()


def test_unsubscribe_mails() -> None:
    assert receipts(leave(f"unsubscribe {TOKEN}")) == [Receipt(ReceiptState.UNSUBSCRIBED, NOW, external_id=MESSAGE_ID)]
    assert states(leave(f"Re: UNSUBSCRIBE  {TOKEN.upper()}", "Leave <LEAVE@shop.example>")) == ["unsubscribed"]
    for raw in (
        leave("unsubscribe"),
        leave(f"unsubscribe {TOKEN[:26]}"),
        leave(f"unsubscribe {TOKEN}", "a@shop.example"),
    ):
        assert receipts(raw) == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 1000,
        b"\xff\xfe" * 500,
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="\n\n--\n',
        b"Content-Type: multipart/report; report-type*=utf-8''delivery-status; boundary=x\n\n"
        b"--x\nContent-Type: message/delivery-status\n",
        b"Content-Type: multipart/report; report-type=feedback-report\n\nx",
        b"Subject: =?utf-8?b?////?= =?x?q?y?=\nTo: leave@shop.example\n\n",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000)),
        b"Content-Type: message/rfc822\n\n" * 20000,
        report(block(action="delayed", status="9.9.9", recipient=";" * 1000)),
        report(block(action="failed\xe9", status="\xff")),
    ],
)
def test_broken_mails_say_nothing_and_break_nothing(raw: bytes) -> None:
    assert receipts(raw) == []


def test_the_report_is_read_before_a_large_returned_mail() -> None:
    large = f"Message-ID: {MESSAGE_ID}\nTo: li@example.com\n\n" + "body of the mail\n" * 100_000
    assert states(report(block(), to="p@shop.example", returned=large, kind="message/rfc822")) == ["bounced"]


def test_one_mail_gives_a_bounded_number_of_receipts() -> None:
    assert len(receipts(report(*[block()] * 1000))) == 50


def test_deeply_nested_mails_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard parser's work grows with the square of the depth, and strangers write to bounce addresses."""
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(20_000))
    parsed: list[int] = []
    real = email.message_from_bytes

    def count(raw: bytes) -> Any:
        parsed.append(len(raw))
        return real(raw)

    monkeypatch.setattr(email, "message_from_bytes", count)
    assert receipts(nested) == []
    assert parsed == []
    receipts(b"Subject: x\n" * 200_000)
    assert parsed == [128 * 1024]


# -- the webhook ----------------------------------------------------------------------------------------------------


def posted(body: bytes, at: int, secret: str = HOOK) -> InboundRequest:
    return InboundRequest("POST", "/hook", {}, {"x-fairlead-signature": signature(body, secret, at)}, body)


def test_a_posted_bounce_becomes_receipts(account: Any) -> None:
    at = int(account.now.timestamp())
    outcome = CHANNEL.receive(account.context(SETTINGS), posted(report(block()), at))
    assert [receipt.external_id for receipt in outcome.receipts] == [MESSAGE_ID]
    assert outcome.receipts[0].at == account.now
    assert (outcome.status, outcome.orders) == (200, ())
    # The same mail posted again later is the same delivery.
    again = CHANNEL.receive(account.context(SETTINGS), posted(report(block()), at + 9))
    assert again.dedupe_id == outcome.dedupe_id
    assert CHANNEL.receive(account.context(SETTINGS), posted(OUT_OF_OFFICE, at)).dedupe_id != outcome.dedupe_id


def test_the_signature_is_what_the_readme_computes() -> None:
    by_hand = hmac.new(HOOK.encode(), b"1767607200.mail", hashlib.sha256).hexdigest()
    assert signature(b"mail", HOOK, 1767607200) == f"t=1767607200,v1={by_hand}"


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, body=r.body + b" "),
        lambda r: replace(r, body=b""),
        lambda r: replace(r, headers={}),
        lambda r: replace(r, headers={"x-fairlead-signature": ""}),
        lambda r: replace(r, headers={"x-fairlead-signature": r.headers["x-fairlead-signature"].upper()}),
        lambda r: replace(r, headers={"x-fairlead-signature": "t=٣,v1=" + "0" * 64}),
        lambda r: replace(
            r, headers={"x-fairlead-signature": r.headers["x-fairlead-signature"].replace("t=1", "t=2", 1)}
        ),
    ],
)
def test_a_forged_post_is_refused(account: Any, change: Any) -> None:
    request = posted(report(block()), int(account.now.timestamp()))
    with pytest.raises(FixCredentials):
        CHANNEL.receive(account.context(SETTINGS), change(request))


def test_an_old_post_another_secret_and_no_secret_are_refused(account: Any) -> None:
    at = int(account.now.timestamp())
    raw = report(block())
    for request in (posted(raw, at - 301), posted(raw, at + 301), posted(raw, at, "other")):
        with pytest.raises(FixCredentials):
            CHANNEL.receive(account.context(SETTINGS), request)
    bare = SETTINGS.model_copy(update={"webhook_secret": None})
    with pytest.raises(FixCredentials):
        CHANNEL.receive(account.context(bare), posted(raw, at, ""))
