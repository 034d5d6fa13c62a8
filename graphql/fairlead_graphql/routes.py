"""Plain HTTP beside GraphQL: health, metrics, unsubscribe links, one verified webhook endpoint per account."""

from __future__ import annotations

import re
from html import escape

import anyio.to_thread
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fairlead.channels.webhooks import deliver
from fairlead.errors import DomainError, NotFound
from fairlead.messaging import unsubscribe
from fairlead.plugins.contracts.channel import InboundRequest
from fairlead.plugins.errors import FixCredentials, PluginError, RetryLater
from fairlead.runtime import Fairlead
from fairlead.storage import migrate

MOST_BODY = 1024 * 1024
NUMBER = re.compile(r"[0-9]{1,19}")
PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><h1>{title}</h1>{body}"""


def routes(runtime: Fairlead) -> list[Route]:
    """The routes over a runtime."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        problem = await run_in_threadpool(_not_ready, runtime)
        if problem:
            return JSONResponse({"ready": False, "reason": problem}, 503, headers={"Retry-After": "5"})
        return JSONResponse({"ready": True})

    async def metrics(request: Request) -> Response:
        local = request.client is not None and request.client.host in ("127.0.0.1", "::1")
        if not (runtime.settings.metrics_public or local):
            return PlainTextResponse("not found\n", 404)
        return Response(await run_in_threadpool(runtime.metrics.render), media_type=CONTENT_TYPE_LATEST)

    async def leave(request: Request) -> Response:
        token = request.path_params["token"]
        # Mail scanners and previews send HEAD as well as GET.
        if request.method != "POST":
            form = '<form method="post"><button>退订 / Unsubscribe</button></form>'
            return HTMLResponse(PAGE.format(title="退订 / Unsubscribe", body=form), headers=_NO_STORE)
        try:
            purpose, channel = await run_in_threadpool(_withdraw, runtime, token)
        except DomainError:
            return HTMLResponse(PAGE.format(title="链接无效 / Not a valid link", body=""), 404, headers=_NO_STORE)
        body = f"<p>已退订 / Done: {escape(purpose)} · {escape(channel)}</p>"
        return HTMLResponse(PAGE.format(title="已退订 / Unsubscribed", body=body), headers=_NO_STORE)

    async def webhook(request: Request) -> Response:
        if request.method == "HEAD":
            return PlainTextResponse("", 405, headers={"Allow": "GET, POST"})
        body = await _read(request)
        if body is None:
            return PlainTextResponse("too large\n", 413)
        inbound = InboundRequest(
            method=request.method,
            path=request.scope["path"],
            query=dict(request.query_params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        account, client = request.path_params["account"], request.path_params["client"]
        if not NUMBER.fullmatch(account):
            return PlainTextResponse("not found\n", 404)
        try:
            outcome = await anyio.to_thread.run_sync(deliver, runtime, client, int(account), inbound)
        except NotFound:
            return PlainTextResponse("not found\n", 404)
        except FixCredentials:
            return PlainTextResponse("the signature does not fit\n", 401)
        except RetryLater as error:
            return PlainTextResponse("try again\n", 503, headers={"Retry-After": str(int(error.retry_after or 5))})
        except (PluginError, DomainError):
            return PlainTextResponse("not acceptable\n", 400)
        return Response(outcome.body, outcome.status, media_type=outcome.content_type)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/u/{token}", leave, methods=["GET", "POST"]),
        Route("/v1/webhooks/{client}/{account}", webhook, methods=["GET", "POST"]),
    ]


_NO_STORE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


def _not_ready(runtime: Fairlead) -> str:
    try:
        return "the database is behind its migrations" if migrate.pending(runtime.database) else ""
    except Exception:  # noqa: BLE001 - whatever it is, this process cannot answer now
        return "the database does not answer"


def _withdraw(runtime: Fairlead, token: str) -> tuple[str, str]:
    client_id = unsubscribe.client_of(token)
    return runtime.run(client_id, lambda work: unsubscribe.accept(work, token))


async def _read(request: Request) -> bytes | None:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)
