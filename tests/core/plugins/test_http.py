"""The guarded client: what it refuses to reach, what it refuses to read, and what it says when things break."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairlead.plugins.errors import Abort, FixCredentials, FixSettings, OutcomeUnknown, PluginError, RetryLater
from fairlead.plugins.http import error_for_status, guarded_client, is_public, open_stream, retry_after_seconds

Answer = Callable[[socket.socket, bytes], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


@contextmanager
def server(answer: Answer, family: int = socket.AF_INET) -> Iterator[tuple[int, list[bytes]]]:
    """A raw TCP server: yields its port and the list of request heads it got; ``answer`` writes what it likes."""
    seen: list[bytes] = []
    listener = socket.socket(family)
    listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    listener.listen(8)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                head = connection.recv(65536)
                seen.append(head)
                try:
                    answer(connection, head)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def says(payload: bytes) -> Answer:
    return lambda connection, head: connection.sendall(payload)


LOOPBACK_SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.127.127.127",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "127。0。0。1",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "user:password@127.0.0.1",
    "example.com@127.0.0.1",
]
OTHER_PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "2852039166",
    "100.100.100.200",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
]


@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS)
def test_no_spelling_of_this_machine_reaches_a_listening_server(host: str) -> None:
    with server(says(OK)) as (port, seen), guarded_client(timeout=5) as client:
        # A name that is no name ends as one that cannot be resolved, everything else as a refusal.
        with pytest.raises((FixSettings, RetryLater)) as caught:
            client.get(f"http://{host}:{port}/secret-path?token=hidden")
        assert seen == []
        assert "hidden" not in str(caught.value)
        assert "password" not in str(caught.value)


@pytest.mark.parametrize("host", OTHER_PRIVATE)
def test_private_networks_are_refused_before_connecting(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket, "create_connection", connect)
    with guarded_client() as client, pytest.raises(FixSettings):
        client.get(f"http://{host}/")


@pytest.mark.parametrize("address", ["8.8.8.8", "223.5.5.5", "2400:3200::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_ipv6_loopback_server_is_not_reached() -> None:
    try:
        manager = server(says(OK), socket.AF_INET6)
        with manager as (port, seen), guarded_client() as client:
            with pytest.raises(FixSettings):
                client.get(f"http://[::1]:{port}/")
            assert seen == []
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//x",
        "http://",
        "ws://example.com/",
        "http://[::1/",
    ],
)
def test_only_http_addresses_are_called(url: str) -> None:
    with guarded_client() as client, pytest.raises(FixSettings):
        client.get(url)


def test_the_operator_can_allow_a_host_or_a_host_with_port() -> None:
    with server(says(OK)) as (port, seen):
        for allowed in ("127.0.0.1", f"127.0.0.1:{port}"):
            with guarded_client(allow_hosts={allowed}) as client:
                assert client.get(f"http://127.0.0.1:{port}/").text == "hi"
        with guarded_client(allow_hosts={"127.0.0.1:1", "localhost"}) as client, pytest.raises(FixSettings):
            client.get(f"http://127.0.0.1:{port}/")
        with guarded_client(allow_hosts={"127.0.0.1"}) as client, pytest.raises(FixSettings):
            client.get(f"http://2130706433:{port}/")
        assert len(seen) == 2


def _resolving(answers: list[list[str]]) -> Callable[..., list[Any]]:
    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers.pop(0)]

    return getaddrinfo


def test_a_name_is_resolved_once_and_the_checked_address_is_the_one_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer would be this machine: with a check before and a connect after, it would be reached."""
    answers = [["203.0.114.9"], ["127.0.0.1"]]
    connected: list[Any] = []

    def connect(address: Any, *args: Any, **kwargs: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", _resolving(answers))
    monkeypatch.setattr(socket, "create_connection", connect)
    with guarded_client() as client, pytest.raises(RetryLater):
        client.get("http://rebind.example/")
    assert connected == [("203.0.114.9", 80)]
    assert answers == [["127.0.0.1"]]


def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolving([["203.0.114.9", "10.0.0.1"]]))
    with pytest.raises(FixSettings):
        open_stream("mixed.example", 443)


def test_the_tcp_door_for_other_protocols_has_the_same_guard() -> None:
    with server(says(b"220 hello\r\n")) as (port, _), guarded_client(allow_hosts={"localhost"}) as client:
        with pytest.raises(FixSettings):
            client.connect("127.0.0.1", port)
        with client.connect("localhost", port) as connection:
            connection.sendall(b"x")
            assert connection.recv(3) == b"220"


def test_redirects_are_returned_and_not_followed_even_on_request() -> None:
    with server(says(OK)) as (inner, inner_seen):
        moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\n" % inner
        moved += b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        with server(says(moved)) as (port, _), guarded_client(allow_hosts={"127.0.0.1"}) as client:
            for wish in (True, False):
                answer = client.get(f"http://127.0.0.1:{port}/", follow_redirects=wish)
                assert answer.status_code == 302
        assert inner_seen == []


@pytest.mark.parametrize(
    "payload",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"3e8\r\n"
        + b"x" * 1000
        + b"\r\n5dc\r\n"
        + b"x" * 1500,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\nx",
    ],
)
def test_large_answers_are_refused(payload: bytes) -> None:
    with (
        server(says(payload)) as (port, _),
        guarded_client(allow_hosts={"127.0.0.1"}, max_bytes=2000) as client,
        pytest.raises(Abort),
    ):
        client.get(f"http://127.0.0.1:{port}/")


def test_an_answer_of_exactly_the_limit_is_read() -> None:
    payload = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    with server(says(payload)) as (port, _), guarded_client(allow_hosts={"127.0.0.1"}, max_bytes=2000) as client:
        assert len(client.get(f"http://127.0.0.1:{port}/").content) == 2000


def test_a_compressed_answer_is_refused_and_never_asked_for() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    payload = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    with server(says(payload)) as (port, seen), guarded_client(allow_hosts={"127.0.0.1"}) as client:
        with pytest.raises(Abort):
            client.get(f"http://127.0.0.1:{port}/", headers={"Accept-Encoding": "gzip"})
        assert b"accept-encoding: identity" in seen[0].lower()


def test_a_dripping_answer_ends_at_the_time_limit() -> None:
    stop = threading.Event()

    def drip(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b"x")

    try:
        with server(drip) as (port, _), guarded_client(allow_hosts={"127.0.0.1"}, timeout=0.5) as client:
            # Every byte arrives well inside the read time-out: only a limit on the whole exchange ends this.
            with pytest.raises(RetryLater):
                client.get(f"http://127.0.0.1:{port}/")
            stop.set()
    finally:
        stop.set()


@pytest.mark.parametrize(("method", "rung"), [("GET", RetryLater), ("POST", OutcomeUnknown)])
def test_a_lost_answer_is_unknown_only_where_it_may_have_had_an_effect(method: str, rung: type[PluginError]) -> None:
    with server(says(b"")) as (port, _), guarded_client(allow_hosts={"127.0.0.1"}) as client, pytest.raises(rung):
        client.request(method, f"http://127.0.0.1:{port}/")


def test_a_cut_body_is_a_lost_answer() -> None:
    payload = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"
    with (
        server(says(payload)) as (port, _),
        guarded_client(allow_hosts={"127.0.0.1"}) as client,
        pytest.raises(OutcomeUnknown),
    ):
        client.post(f"http://127.0.0.1:{port}/")


def test_nobody_there_is_retried() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with guarded_client(allow_hosts={"127.0.0.1"}) as client, pytest.raises(RetryLater):
        client.post(f"http://127.0.0.1:{port}/")


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate for 127.0.0.1 that no authority signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(certificate.public_bytes(pem) + plain)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_tls_trusts_only_known_authorities_and_takes_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = self_signed(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError), tls.wrap_socket(connection, server_side=True) as line:
                heard.append(line.recv(65536))
                line.sendall(OK)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/?key=secret"
    try:
        with guarded_client(allow_hosts={"127.0.0.1"}) as client, pytest.raises(FixSettings, match="certificate"):
            client.post(url)
        assert heard == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "both.pem"))
        with guarded_client(allow_hosts={"127.0.0.1"}) as client:
            assert client.post(url).text == "hi"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_cookies_of_one_account_do_not_reach_the_next() -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=secret; Path=/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with server(says(cookie)) as (port, seen), guarded_client(allow_hosts={"127.0.0.1"}) as client:
        for _ in range(2):
            client.get(f"http://127.0.0.1:{port}/")
        assert len(seen) == 2
        assert b"cookie" not in seen[1].lower()


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(says(OK)) as (port, seen):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        with guarded_client() as client, pytest.raises(FixSettings):
            client.get("http://10.0.0.1/")
        assert seen == []


def test_urls_do_not_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with server(says(OK)) as (port, _), guarded_client(allow_hosts={"127.0.0.1"}) as client:
        client.get(f"http://127.0.0.1:{port}/hook?key=very-secret")
    assert "very-secret" not in caplog.text


NOW = dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Mon, 05 Jan 2026 10:01:30 GMT", 90.0),
        ("Mon, 05 Jan 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@pytest.mark.parametrize(
    ("method", "status", "rung"),
    [
        ("GET", 429, RetryLater),
        ("POST", 503, RetryLater),
        ("GET", 500, RetryLater),
        ("POST", 502, OutcomeUnknown),
        ("GET", 401, FixCredentials),
        ("GET", 302, FixSettings),
        ("GET", 404, FixSettings),
        ("POST", 400, Abort),
    ],
)
def test_statuses_on_the_ladder(method: str, status: int, rung: type[PluginError]) -> None:
    answer = httpx2.Response(
        status, headers={"retry-after": "9"}, request=httpx2.Request(method, "https://x.example/?k=s")
    )
    error = error_for_status(answer, NOW)
    assert type(error) is rung
    assert error.code == str(status)
    assert "k=s" not in error.message
    if status in (429, 503):
        assert isinstance(error, RetryLater)
        assert error.retry_after == 9.0


def test_success_is_no_error() -> None:
    assert error_for_status(httpx2.Response(204, request=httpx2.Request("GET", "https://x.example/")), NOW) is None
