"""The only way a plugin talks to the outside: a guarded ``httpx2.Client`` and a guarded TCP connection.

The settings of a channel are typed in by people of a client, so every address in them is hostile until proven
otherwise (server-side request forgery). The guard sits where a connection is opened, not where a URL is parsed: the
name is resolved once, every address it resolves to must be public, and the connection goes to exactly the address that
was checked. All spellings of an address (decimal, octal, short, full width, IPv4 inside IPv6) end there as the same
number, and a name whose answer changes between check and connect gains nothing.

What else the client does not do: follow redirects, use proxies of the environment, keep cookies, accept compressed
answers (a kilobyte may hide a gigabyte), read more than ``max_bytes``, or take longer than ``timeout`` for a whole
exchange, however slowly the other side drips. Whatever goes wrong is raised from :mod:`fairlead.plugins.errors`, and
texts name the host only, because paths and queries of bots hold secrets.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2

from fairlead.plugins.errors import Abort, FixCredentials, FixSettings, OutcomeUnknown, PluginError, RetryLater

MAX_BYTES = 1024 * 1024
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")

_deadline: ContextVar[float | None] = ContextVar("fairlead_http_deadline", default=None)


# -- which addresses are public -------------------------------------------------------------------------------------


def is_public(address: str) -> bool:
    """Whether a numeric ``address`` is a unicast address of the public internet.

    IPv4 addresses inside IPv6 ones (mapped, NAT64, 6to4, Teredo) are judged by the address inside, since that is where
    the packets go.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _LOCAL_NAT64 or ip in _SITE_LOCAL:
            return False
        inner: list[ipaddress.IPv4Address] = []
        if ip.ipv4_mapped is not None:
            inner = [ip.ipv4_mapped]
        elif ip.sixtofour is not None:
            inner = [ip.sixtofour]
        elif ip.teredo is not None:
            inner = list(ip.teredo)
        elif ip in _NAT64:
            inner = [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
        if inner:
            return all(is_public(str(v4)) for v4 in inner)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)


def _is_allowed(host: str, port: int, allow_hosts: frozenset[str]) -> bool:
    name = f"[{host}]" if ":" in host else host
    return host in allow_hosts or name in allow_hosts or f"{name}:{port}" in allow_hosts


def open_stream(
    host: str, port: int, *, allow_hosts: Iterable[str] = frozenset(), timeout: float = 10.0
) -> httpcore2.NetworkStream:
    """Open a TCP connection to a public address of ``host`` within ``timeout`` seconds.

    ``allow_hosts`` holds ``host`` or ``host:port`` (IPv6 in brackets) exactly as it is written in the settings: those
    may be anywhere. Raises :class:`FixSettings` for a name that leads to a private address, even if only one of its
    addresses does, and :class:`RetryLater` when nobody answers.
    """
    host = host.strip().strip("[]").rstrip(".").lower()
    until = time.monotonic() + timeout
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RetryLater(f"the name {host} cannot be resolved") from error
    addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
    if not _is_allowed(host, port, frozenset(name.lower() for name in allow_hosts)) and not all(
        map(is_public, addresses)
    ):
        raise FixSettings(f"{host} leads to an address that is not public; the operator has not allowed it")
    failure: Exception | None = None
    for address in addresses:
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            return httpcore2.SyncBackend().connect_tcp(address, port, left, socket_options=())
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            failure = error
    raise RetryLater(f"{host} port {port} does not answer") from failure


# -- the network under the client -----------------------------------------------------------------------------------


class _Stream(httpcore2.NetworkStream):
    """A connection on which no call waits past the deadline of the exchange it serves."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    @staticmethod
    def _left(timeout: float | None, late: type[Exception]) -> float | None:
        deadline = _deadline.get()
        if deadline is None:
            return timeout
        left = deadline - time.monotonic()
        if left <= 0:
            raise late("the time for this exchange is used up")
        return left if timeout is None else min(timeout, left)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = self._left(timeout, httpcore2.ConnectTimeout)
        try:
            return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))
        except httpcore2.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise FixSettings(f"the certificate of {server_hostname} is not accepted") from error
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore2.NetworkBackend):
    """Opens connections by :func:`open_stream` and nothing else."""

    def __init__(self, allow_hosts: frozenset[str], timeout: float) -> None:
        self._allow_hosts = allow_hosts
        self._timeout = timeout

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        limit = self._timeout if timeout is None else min(timeout, self._timeout)
        return _Stream(open_stream(host, port, allow_hosts=self._allow_hosts, timeout=limit))


# -- from the vendor's exceptions to the ladder ---------------------------------------------------------------------


def _ladder(error: Exception, method: str, host: str) -> PluginError:
    match error:
        case httpcore2.ConnectError() | httpcore2.ConnectTimeout() | httpcore2.PoolTimeout():
            return RetryLater(f"{host} cannot be reached")
        case httpcore2.UnsupportedProtocol() | httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return FixSettings("the address is not a valid http or https URL")
        case httpcore2.LocalProtocolError() | httpx2.LocalProtocolError():
            return Abort(f"the request to {host} is not valid HTTP")
    what = "took too long" if isinstance(error, httpcore2.TimeoutException) else "broke off the exchange"
    if method in SAFE_METHODS:
        return RetryLater(f"{host} {what}")
    return OutcomeUnknown(f"{host} {what} after the request was sent")


def retry_after_seconds(value: str, now: dt.datetime) -> float | None:
    """Seconds to wait by a ``Retry-After`` header (a number or an HTTP date, RFC 9110 10.2.3); None if unreadable."""
    value = value.strip()
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return max(0.0, (at - now).total_seconds())


def error_for_status(response: httpx2.Response, now: dt.datetime) -> PluginError | None:
    """What an HTTP status means on the ladder, for platforms that use it; None for 2xx."""
    status, host = response.status_code, response.request.url.host
    code, text = str(status), f"{host} answered {status}"
    if 200 <= status < 300:
        return None
    if status in (408, 425, 429, 503):
        return RetryLater(
            text, code=code, retry_after=retry_after_seconds(response.headers.get("retry-after", ""), now)
        )
    if status >= 500:
        return (
            RetryLater(text, code=code) if response.request.method in SAFE_METHODS else OutcomeUnknown(text, code=code)
        )
    if status in (401, 403):
        return FixCredentials(text, code=code)
    if status < 400:
        return FixSettings(f"{text}, a redirect, which is not followed", code=code)
    return FixSettings(text, code=code) if status in (404, 405, 410) else Abort(text, code=code)


class _Body(httpx2.SyncByteStream):
    """The bytes of one answer, at most ``max_bytes`` of them and none after the deadline."""

    def __init__(self, stream: Any, *, max_bytes: int, deadline: float, method: str, host: str) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._until = deadline
        self._method = method
        self._host = host

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        chunks = iter(self._stream)
        while True:
            token = _deadline.set(self._until)
            try:
                chunk = next(chunks, None)
            except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
                raise _ladder(error, self._method, self._host) from error
            finally:
                _deadline.reset(token)
            if chunk is None:
                return
            seen += len(chunk)
            if seen > self._max_bytes:
                raise Abort(f"the answer of {self._host} is larger than {self._max_bytes} bytes")
            yield chunk

    def close(self) -> None:
        self._stream.close()


class _Transport(httpx2.BaseTransport):
    """httpcore2's pool over the guarded network, with bounded answers."""

    def __init__(self, *, allow_hosts: frozenset[str], timeout: float, max_bytes: int, tls: ssl.SSLContext) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls, max_connections=20, keepalive_expiry=4.0, network_backend=_Network(allow_hosts, timeout)
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url, host = request.url, request.url.host
        if url.scheme not in _PORTS or not host:
            raise FixSettings("only http and https addresses are called")
        # What the answer may be packed in is decided here, not by the plugin.
        request.headers["Accept-Encoding"] = "identity"
        deadline = time.monotonic() + self._timeout
        token = _deadline.set(deadline)
        try:
            answer = self._pool.handle_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(
                        scheme=url.raw_scheme,
                        host=url.raw_host,
                        port=url.port if url.port is not None else _PORTS[url.scheme],
                        target=url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)},
                )
            )
        except (
            httpcore2.TimeoutException,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.UnsupportedProtocol,
        ) as error:
            raise _ladder(error, request.method, host) from error
        finally:
            _deadline.reset(token)
        body = _Body(answer.stream, max_bytes=self._max_bytes, deadline=deadline, method=request.method, host=host)
        response = httpx2.Response(answer.status, headers=answer.headers, stream=body)
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        length = response.headers.get("content-length", "")
        if packed not in ("", "identity"):
            body.close()
            raise Abort(f"{host} answered in the encoding {packed[:20]!r}, which was not asked for")
        if request.method != "HEAD" and length.isdecimal() and int(length[:20]) > self._max_bytes:
            body.close()
            raise Abort(f"the answer of {host} is larger than {self._max_bytes} bytes")
        return response

    def close(self) -> None:
        self._pool.close()


# -- the client -----------------------------------------------------------------------------------------------------


class GuardedClient(httpx2.Client):
    """An ``httpx2.Client`` that cannot be talked into redirects; its :meth:`connect` is for other protocols."""

    def __init__(self, *, allow_hosts: frozenset[str], timeout: float, max_bytes: int) -> None:
        self._allow_hosts = allow_hosts
        self._connect_timeout = timeout
        transport = _Transport(
            allow_hosts=allow_hosts, timeout=timeout, max_bytes=max_bytes, tls=httpx2.create_ssl_context()
        )
        super().__init__(
            transport=transport,
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            # One client serves many accounts: a cookie of one must not reach another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def build_request(self, *args: Any, **kwargs: Any) -> httpx2.Request:
        """As in ``httpx2``, but a URL that cannot be read is :class:`FixSettings`."""
        try:
            return super().build_request(*args, **kwargs)
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise FixSettings("the address is not a valid http or https URL") from error

    def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        """As in ``httpx2``, without redirects; errors are from the ladder."""
        kwargs["follow_redirects"] = False
        try:
            return super().send(request, **kwargs)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _ladder(error, request.method, request.url.host) from error

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection under the same rules, for plugins that speak another protocol than HTTP."""
        stream = open_stream(host, port, allow_hosts=self._allow_hosts, timeout=self._connect_timeout)
        connection: socket.socket = stream.get_extra_info("socket")
        return connection


def guarded_client(
    *, allow_hosts: Iterable[str] = frozenset(), timeout: float = 10.0, max_bytes: int = MAX_BYTES
) -> GuardedClient:
    """The client that plugins get as ``context.http``; thread-safe, to be shared and closed by the caller.

    ``allow_hosts`` holds what the operator lets plugins reach although it is not public: ``host`` or ``host:port``,
    as it is written in the settings. ``timeout`` bounds one whole exchange in seconds (name resolution apart, which the
    system bounds), ``max_bytes`` the body of one answer.
    """
    for name in ("httpx2", "httpcore2"):
        # Their info and debug lines hold whole URLs and headers, which hold tokens.
        logging.getLogger(name).setLevel(logging.WARNING)
    return GuardedClient(
        allow_hosts=frozenset(name.strip().lower() for name in allow_hosts), timeout=timeout, max_bytes=max_bytes
    )
