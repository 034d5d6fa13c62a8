"""Sending, against a real SMTP server process: TLS in both ways, logins, and every way a mail can fail."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from fairlead.plugins.contracts.channel import HealthState, OutgoingMessage, ReceivesWebhooks, SendsMessages, SendState
from fairlead.plugins.errors import FixCredentials, FixSettings, PluginError, RetryLater
from fairlead.plugins.http import guarded_client
from fairlead_email import fairlead_register_channels
from fairlead_email.channel import EmailChannel
from fairlead_email.settings import EmailSettings
from fairlead_email.twin import MailTwin

CHANNEL = EmailChannel()
SECRET = "correct horse"


def mail_to(*names: str, **fields: Any) -> list[OutgoingMessage]:
    made = {"subject": "新品上架", "text": "您好\n.\n..两点\n", "html": "<p>您好</p>", **fields}
    return [OutgoingMessage(key=f"key-{name}", address=f"{name}@example.com", **made) for name in names]


def states(results: Any) -> list[SendState]:
    return [result.state for result in results]


def test_the_plugin_registers_one_channel() -> None:
    found: list[Any] = []
    fairlead_register_channels(found.append)
    assert [channel.manifest.name for channel in found] == ["email"]
    assert isinstance(found[0], SendsMessages)
    assert isinstance(found[0], ReceivesWebhooks)
    assert found[0].idempotent is False


def test_a_batch_goes_over_one_line_and_arrives_as_written(account: Any, real_server: Any) -> None:
    server = real_server()
    settings = server.settings(return_path_domain="bounce.shop.example", verp_secret=SECRET)
    results = CHANNEL.send(account.context(settings), mail_to("a", "b", "c", unsubscribe_url="https://e.example/u/1"))
    assert states(results) == [SendState.SENT] * 3
    assert [result.key for result in results] == ["key-a", "key-b", "key-c"]
    taken = server.taken()
    assert len({mail["line"] for mail in taken}) == 1
    assert [mail["recipients"] for mail in taken] == [["a@example.com"], ["b@example.com"], ["c@example.com"]]
    assert len({mail["sender"] for mail in taken}) == 3
    for result, kept in zip(results, taken, strict=True):
        mail = email.message_from_string(kept["raw"], policy=email.policy.default)
        assert mail["message-id"] == result.external_id
        token = result.external_id.strip("<>").partition("@")[0]
        assert kept["sender"] == f"b-{token}@bounce.shop.example"
        assert mail["subject"] == "新品上架"
        assert mail.get_content_type() == "multipart/alternative"
        assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n") == "您好\n.\n..两点\n"
        assert mail.get_body(("html",)).get_content().strip() == "<p>您好</p>"
        assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls_and_login(account: Any, real_server: Any, certificates: Any, security: str) -> None:
    files = ["--certificate", str(certificates.certificate), "--private-key", str(certificates.private_key)]
    server = real_server("--tls", security, *files, "--login", "shop", SECRET)
    good = {"security": security, "ca_pem": certificates.authority, "username": "shop", "password": SECRET}
    context = account.context(server.settings(**good))
    assert CHANNEL.check(context).state is HealthState.OK
    assert states(CHANNEL.send(context, mail_to("a"))) == [SendState.SENT]
    for wrong in ({"password": "wrong " + SECRET}, {"username": "other"}):
        with pytest.raises(FixCredentials) as caught:
            CHANNEL.send(account.context(server.settings(**{**good, **wrong})), mail_to("a"))
        assert SECRET not in str(caught.value)
        assert caught.value.code == "535"
    # An unknown authority is refused, and without a login the server takes nothing.
    with pytest.raises(FixSettings, match="certificate"):
        CHANNEL.check(account.context(server.settings(**{**good, "ca_pem": ""})))
    with pytest.raises(FixCredentials):
        CHANNEL.send(account.context(server.settings(**{**good, "username": ""})), mail_to("a"))
    assert len(server.taken()) == 1


def test_starttls_is_required_once_chosen(account: Any, real_server: Any) -> None:
    server = real_server()
    with pytest.raises(FixSettings, match="STARTTLS"):
        CHANNEL.send(account.context(server.settings(security="starttls")), mail_to("a"))
    with pytest.raises(FixSettings, match="TLS"):
        CHANNEL.check(account.context(server.settings(security="tls")))
    assert server.taken() == []


def test_a_server_that_wants_tls_is_not_talked_to_in_the_clear(
    account: Any, real_server: Any, certificates: Any
) -> None:
    files = ["--certificate", str(certificates.certificate), "--private-key", str(certificates.private_key)]
    server = real_server("--tls", "starttls", *files)
    with pytest.raises((FixSettings, FixCredentials)):
        CHANNEL.send(account.context(server.settings()), mail_to("a"))
    assert server.taken() == []


def test_each_fate_of_a_mail(account: Any, real_server: Any) -> None:
    """One batch through every fault: each message has its own fate, and the others are not drawn in."""
    server = real_server()
    names = ["a", "451", "550", "late451", "late550", "cuttaken", "b", "cutlost", "c", "hangup", "d"]
    results = CHANNEL.send(account.context(server.settings(timeout_seconds=5)), mail_to(*names))
    fates = {result.key.removeprefix("key-"): result for result in results}
    assert {name: fates[name].state.value for name in names} == {
        "a": "sent",
        "451": "retry",
        "550": "refused",
        "late451": "retry",
        "late550": "refused",
        "cuttaken": "unknown",
        "b": "sent",
        "cutlost": "unknown",
        "c": "sent",
        "hangup": "retry",
        "d": "sent",
    }
    assert fates["550"].reason == "550 5.1.1 no such mailbox"
    assert fates["late550"].reason == "550 5.7.1 refused by policy"
    assert all("@" not in result.reason for result in results)
    assert fates["cuttaken"].external_id
    assert not fates["550"].external_id
    # Both unknown fates look the same from here, and nothing was handed over twice.
    taken = [mail["recipients"][0].partition("@")[0] for mail in server.taken()]
    assert taken == ["a", "cuttaken", "b", "c", "d"]


def test_a_refusal_of_the_account_is_raised_only_while_nothing_is_decided(account: Any, real_server: Any) -> None:
    server = real_server()
    context = account.context(server.settings())
    with pytest.raises(FixCredentials):
        CHANNEL.send(context, mail_to("530", "a"))
    results = CHANNEL.send(context, mail_to("a", "530", "b"))
    assert states(results) == [SendState.SENT, SendState.NOT_TRIED, SendState.NOT_TRIED]
    assert len(server.taken()) == 1


def test_a_bad_address_or_an_empty_mail_is_refused_and_the_rest_goes(account: Any, real_server: Any) -> None:
    server = real_server()
    odd = [
        OutgoingMessage(key="1", address="a@example.com>\r\nRCPT TO:<victim@example.com", text="x"),
        OutgoingMessage(key="2", address="no address", text="x"),
        OutgoingMessage(key="3", address="a@example.com"),
        OutgoingMessage(key="4", address="a@example.com", text="\ud800"),
        OutgoingMessage(key="5", address="a@例子.example", text="x"),
    ]
    results = CHANNEL.send(account.context(server.settings()), odd)
    assert states(results) == [SendState.REFUSED] * 4 + [SendState.SENT]
    assert [mail["recipients"] for mail in server.taken()] == [["a@xn--fsqu00a.example"]]


def test_no_mail_no_line(account: Any) -> None:
    settings = EmailSettings(host="127.0.0.1", port=1, from_address="a@b.example")
    assert CHANNEL.send(account.context(settings), []) == []


def test_nobody_there(account: Any, real_server: Any) -> None:
    server = real_server()
    server.process.terminate()
    server.process.wait()
    context = account.context(server.settings())
    with pytest.raises(RetryLater):
        CHANNEL.send(context, mail_to("a"))
    assert CHANNEL.check(context).state is HealthState.DOWN


def test_private_hosts_need_the_operators_leave(account: Any, real_server: Any) -> None:
    """The host is typed in by people of a client: it must not be a way into the network."""
    server = real_server()
    with guarded_client() as http, pytest.raises(FixSettings, match="not public"):
        CHANNEL.send(account.context(server.settings(), http=http), mail_to("a"))
    with pytest.raises(FixSettings, match="not public"):
        CHANNEL.send(account.context(server.settings(), http=object()), mail_to("a"))
    assert server.taken() == []


def test_nothing_personal_or_secret_is_logged(account: Any, real_server: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    server = real_server()
    CHANNEL.send(account.context(server.settings(verp_secret=SECRET)), mail_to("a", "550", "cuttaken"))
    assert "@example.com" not in caplog.text
    assert SECRET not in caplog.text


# -- servers that are no mail servers ---------------------------------------------------------------------------------


@contextmanager
def scripted(play: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    play(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def answers(*replies: bytes) -> Callable[[socket.socket], None]:
    """Send the first reply at once and one more after each thing received."""

    def play(connection: socket.socket) -> None:
        connection.sendall(replies[0])
        for reply in replies[1:]:
            if not connection.recv(65536):
                return
            connection.sendall(reply)

    return play


def plain(port: int, **changes: Any) -> EmailSettings:
    base = {"host": "127.0.0.1", "port": port, "from_address": "a@b.example", "security": "none"}
    return EmailSettings.model_validate({**base, "allow_unencrypted": True, "timeout_seconds": 2, **changes})


@pytest.mark.parametrize(
    ("replies", "rung"),
    [
        ([b""], RetryLater),
        ([b"421 busy\r\n"], RetryLater),
        ([b"554 go away\r\n"], FixSettings),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], RetryLater),
        ([b"220 hi\r\n", b"502 no EHLO\r\n"], FixSettings),
        ([b"220 hi\r\n", b""], RetryLater),
        (
            [b"220 hi\r\n", b"250 ok\r\n", b"550 5.7.1 sender not allowed\r\n", b"250 ok\r\n", b"221 bye\r\n"],
            FixSettings,
        ),
        ([b"220 " + b"x" * 20000 + b"\r\n"], RetryLater),
    ],
)
def test_strange_servers(account: Any, replies: list[bytes], rung: type[PluginError]) -> None:
    with scripted(answers(*replies)) as port, pytest.raises(rung):
        CHANNEL.send(account.context(plain(port)), mail_to("a"))


def test_a_sender_that_is_busy_is_retried_and_a_mail_too_large_is_refused(account: Any) -> None:
    for reply, state in ((b"451 later\r\n", SendState.RETRY), (b"552 5.3.4 too large\r\n", SendState.REFUSED)):
        with scripted(answers(b"220 hi\r\n", b"250 ok\r\n", reply, b"250 ok\r\n", b"221 bye\r\n")) as port:
            assert states(CHANNEL.send(account.context(plain(port)), mail_to("a"))) == [state]


def test_an_answer_to_the_dot_that_means_nothing_or_never_comes_is_unknown(account: Any) -> None:
    for last in (b"okay then\r\n", b"250"):

        def play(connection: socket.socket, last: bytes = last) -> None:
            answers(b"220 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n")(connection)
            received = b""
            while not received.endswith(b"\r\n.\r\n"):
                received += connection.recv(65536)
            connection.sendall(last)
            if last == b"250":
                connection.recv(1)

        with scripted(play) as port:
            results = CHANNEL.send(account.context(plain(port, final_timeout_seconds=0.3)), mail_to("a"))
            assert states(results) == [SendState.UNKNOWN]


def test_a_line_that_breaks_inside_the_mail_is_safe_to_repeat(account: Any) -> None:
    def play(connection: socket.socket) -> None:
        answers(b"220 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n")(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    # Larger than all buffers on the way, so that the end cannot have left.
    with scripted(play) as port:
        results = CHANNEL.send(account.context(plain(port)), mail_to("a", text="x" * 12_000_000, html=""))
    assert states(results) == [SendState.RETRY]


def trickle(first: bytes, line: bytes) -> Callable[[socket.socket], None]:
    """An answer that never ends, in pieces that each come in time."""

    def play(connection: socket.socket) -> None:
        connection.sendall(first)
        if first:
            connection.recv(65536)
        for _ in range(200):
            connection.sendall(line)
            time.sleep(0.05)

    return play


@pytest.mark.parametrize(
    ("first", "line"),
    [(b"", b"220-x\r\n"), (b"220 hi\r\n", b"250-SIZE\r\n"), (b"", b"220-" + b"x" * 4000 + b"\r\n"), (b"", b"2")],
    ids=["greeting", "ehlo", "flood", "one long line"],
)
def test_an_answer_without_end_is_not_waited_for(account: Any, first: bytes, line: bytes) -> None:
    told: list[bool] = []

    def play(connection: socket.socket) -> None:
        try:
            trickle(first, line)(connection)
            told.append(True)
        except OSError:
            told.append(False)
            raise

    with scripted(play) as port, pytest.raises(RetryLater):
        CHANNEL.send(account.context(plain(port, timeout_seconds=0.5)), mail_to("a"))
    assert told[:1] != [True], "the channel listened to the end"


def test_a_call_whose_time_is_up_leaves_the_rest(account: Any) -> None:
    with MailTwin() as twin:
        context = account.context(plain(twin.port))
        ticks = iter(range(100))
        clock = lambda: account.now + dt.timedelta(seconds=next(ticks))  # noqa: E731
        context = replace(context, now=clock, not_after=account.now + dt.timedelta(seconds=5))
        results = CHANNEL.send(context, mail_to(*"abcdef"))
        taken = len(twin.mails)
        assert 0 < taken < 6
        assert states(results) == [SendState.SENT] * taken + [SendState.NOT_TRIED] * (6 - taken)
        assert states(CHANNEL.send(context, mail_to(*"abc"))) == [SendState.NOT_TRIED] * 3
        assert len(twin.mails) == taken


def test_the_id_of_a_mail_is_known_before_it_is_sent(account: Any) -> None:
    with MailTwin() as twin:
        context = account.context(plain(twin.port))
        (result,) = CHANNEL.send(context, mail_to("a"))
        assert CHANNEL.external_id_of(context, result.key) == result.external_id


def test_a_server_that_ends_every_line_does_not_loop(account: Any) -> None:
    with scripted(answers(b"220 hi\r\n", b"250 ok\r\n", b"421 closing\r\n")) as port:
        results = CHANNEL.send(account.context(plain(port)), mail_to(*"abcdef"))
    assert states(results) == [SendState.RETRY] * 3 + [SendState.NOT_TRIED] * 3


def test_words_injected_before_starttls_are_not_obeyed(account: Any, certificates: Any) -> None:
    """A man in the middle adds an answer to the one that starts TLS; it must not count inside TLS."""

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.certificate, certificates.private_key)
    inside: list[bytes] = []

    def play(connection: socket.socket) -> None:
        answers(b"220 hi\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n")(connection)
        with tls.wrap_socket(connection, server_side=True) as line:
            inside.append(line.recv(65536))
            line.sendall(b"250 ok\r\n")
            inside.append(line.recv(65536))

    with scripted(play) as port:
        settings = plain(port, security="starttls", username="u", password=SECRET, ca_pem=certificates.authority)
        with pytest.raises(FixSettings, match="login"):
            CHANNEL.send(account.context(settings), mail_to("a"))
    assert inside[0].startswith(b"ehlo")
    assert not any(b"AUTH" in said for said in inside)


# -- against the twin -------------------------------------------------------------------------------------------------


def test_a_server_that_takes_few_mails_a_line_gets_them_all(account: Any) -> None:
    with MailTwin(mails_per_line=2) as twin:
        results = CHANNEL.send(account.context(plain(twin.port)), mail_to(*"abcdefg"))
        assert states(results) == [SendState.SENT] * 7
        assert [mail["rcpt_to"] for mail in twin.mails] == [[f"{name}@example.com"] for name in "abcdefg"]
        assert twin.lines == 4
