"""The replay twin: as strict as servers are, and a mail sink for demos."""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairlead.plugins.contracts.channel import HealthState, OutgoingMessage
from fairlead.plugins.errors import FixCredentials
from fairlead_email.channel import EmailChannel
from fairlead_email.settings import EmailSettings
from fairlead_email.twin import MailTwin

CHANNEL = EmailChannel()


def settings(port: int, **changes: Any) -> EmailSettings:
    base = {"host": "127.0.0.1", "port": port, "from_address": "a@b.example", "timeout_seconds": 5}
    if "security" not in changes:
        base |= {"security": "none", "allow_unencrypted": True}
    return EmailSettings.model_validate({**base, **changes})


def message(name: str, **fields: Any) -> OutgoingMessage:
    return OutgoingMessage(**{"key": name, "address": f"{name}@example.com", "text": "你好", **fields})


def test_each_fault_of_the_twin(account: Any) -> None:
    faults = {
        "tempfail": "retry",
        "full": "retry",
        "nobody": "refused",
        "policy": "refused",
        "late": "retry",
        "spam": "refused",
        "hangup": "retry",
        "goodbye": "retry",
        "cut-taken": "unknown",
        "cut-lost": "unknown",
        "nobody+tag": "refused",
        "somebody": "sent",
    }
    with MailTwin() as twin:
        for name, fate in faults.items():
            (result,) = CHANNEL.send(account.context(settings(twin.port)), [message(name)])
            assert (name, result.state.value) == (name, fate)
        assert [mail["rcpt_to"] for mail in twin.mails] == [["cut-taken@example.com"], ["somebody@example.com"]]


@pytest.mark.parametrize("implicit", [True, False])
def test_tls_and_login_at_the_twin(account: Any, certificates: Any, implicit: bool) -> None:
    files = {"certificate": certificates.certificate, "private_key": certificates.private_key}
    with MailTwin(**files, implicit_tls=implicit, username="u", password="p w") as twin:
        good = {
            "security": "tls" if implicit else "starttls",
            "ca_pem": certificates.authority,
            "username": "u",
            "password": "p w",
        }
        assert CHANNEL.check(account.context(settings(twin.port, **good))).state is HealthState.OK
        with pytest.raises(FixCredentials):
            CHANNEL.check(account.context(settings(twin.port, **{**good, "password": "p"})))
        CHANNEL.send(account.context(settings(twin.port, **good)), [message("a")])
        assert len(twin.mails) == 1


GOOD = (
    b"From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\nDate: Mon, 05 Jan 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@b.example>\r\nMIME-Version: 1.0\r\n\r\nhello\r\n"
)


@pytest.mark.parametrize(
    "mail",
    [
        GOOD.replace(b"Subject: x\r\n", b""),
        GOOD.replace(b"Message-ID: <1@b.example>\r\n", b""),
        GOOD.replace(b"Subject: x", b"Subject: x\r\nSubject: y"),
        GOOD.replace(b"Subject: x", "Subject: 新".encode()),
        GOOD.replace(b"hello", b"x" * 999),
        GOOD.replace(b"hello", b"bare\nfeed"),
        GOOD.replace(b"hello", b"bare\rreturn"),
        GOOD.replace(b"Subject: x", b"Subject: x\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click"),
    ],
)
def test_the_twin_refuses_mails_that_strict_servers_refuse(mail: bytes) -> None:
    with MailTwin() as twin, smtplib.SMTP("127.0.0.1", twin.port, timeout=5) as smtp:
        for raw, code in ((mail, 550), (GOOD, 250)):
            smtp.mail("a@b.example")
            smtp.rcpt("c@d.example")
            smtp.docmd("DATA")
            smtp.send(raw + b".\r\n")
            assert smtp.getreply()[0] == code
        assert len(twin.mails) == 1


def test_the_twin_keeps_the_order_of_commands(account: Any) -> None:
    with MailTwin(username="u", password="p") as twin, smtplib.SMTP("127.0.0.1", twin.port, timeout=5) as smtp:
        assert smtp.docmd("MAIL", "FROM:<a@b.example>")[0] == 530
        smtp.login("u", "p")
        assert smtp.docmd("RCPT", "TO:<a@b.example>")[0] == 503
        assert smtp.docmd("DATA")[0] == 503
        assert smtp.docmd("MAIL", "FROM:a@b.example")[0] == 501
        assert smtp.docmd("MAIL", "FROM:<a@b.example> SIZE=99999999999")[0] == 552
        assert smtp.docmd("NONSENSE")[0] == 500


def test_the_mail_sink_of_the_demo(account: Any, tmp_path: Path) -> None:
    store = tmp_path / "mails.jsonl"
    command = [sys.executable, "-m", "fairlead_email.twin", "--port", "0", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            sent = message("li", subject="春天来了", html="<b>你好</b>", unsubscribe_url="https://e.example/u")
            (result,) = CHANNEL.send(account.context(settings(port, from_name="花店")), [sent])
            process.kill()
        finally:
            process.kill()
    (line,) = store.read_text(encoding="utf-8").splitlines()
    record = json.loads(line)
    assert record.pop("received_at")
    assert record.pop("size") > 300
    assert record == {
        "mail_from": "a@b.example",
        "rcpt_to": ["li@example.com"],
        "message_id": result.external_id,
        "from": "花店 <a@b.example>",
        "to": "li@example.com",
        "subject": "春天来了",
        "list_unsubscribe": "<https://e.example/u>",
        "list_unsubscribe_post": "List-Unsubscribe=One-Click",
        "text": "你好\n",
        "html": "<b>你好</b>\n",
    }
