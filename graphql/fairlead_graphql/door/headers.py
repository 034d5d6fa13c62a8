"""Headers of every answer, the request id, trusted hosts and CORS, as plain ASGI middleware.

The host and the path of a request are only ever read from the ASGI scope, never from a URL put together from headers.
An application served behind this must also switch off its router's ``redirect_slashes``, which repeats the ``Host``
header in ``Location``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

import structlog
from starlette.datastructures import Headers as RequestHeaders
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-Id"

_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


class Headers:
    """Gives every request an id and every answer the headers a browser needs to be careful with it.

    An ``X-Request-Id`` of 8 to 64 letters, digits, ``.``, ``_`` or ``-`` is taken over, any other replaced. The id is
    returned, bound to the log of the request, and kept in ``scope["state"]["request_id"]``. A header the application
    set itself is left alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        offered = RequestHeaders(scope=scope).get(REQUEST_ID, "")
        request_id = offered if _ACCEPTED.fullmatch(offered) else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                if message["type"] == "http.response.start":
                    for name, value in _SAFE.items():
                        headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self.app(scope, receive, send_with_headers)


def middleware(*, allowed_hosts: Sequence[str] = (), cors_origins: Sequence[str] = ()) -> list[Middleware]:
    """The middleware of the application, outermost first.

    ``allowed_hosts``: names the ``Host`` header may hold (``*.example.com`` works), any when empty.
    ``cors_origins``: origins whose pages may read answers, none when empty; ``"*"`` is refused with ``ValueError``.
    Cookies are never allowed across origins: tokens travel in ``Authorization``.
    """
    if "*" in cors_origins:
        raise ValueError("name the origins that may read answers; '*' would be everybody")
    found = [Middleware(Headers)]
    if allowed_hosts:
        found.append(Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts), www_redirect=False))
    if cors_origins:
        found.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(cors_origins),
                allow_methods=["POST"],
                allow_headers=["Authorization", "Content-Type", REQUEST_ID],
                expose_headers=[REQUEST_ID, "Retry-After"],
            )
        )
    return found
