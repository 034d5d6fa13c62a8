"""The ASGI application: GraphQL, health, metrics, unsubscribe links, webhooks, GraphiQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Scope
from starlette.websockets import WebSocket

from fairlead.errors import InvalidInput, Unauthenticated
from fairlead.governance.permissions import Anonymous, Principal
from fairlead.observability.logging import configure_logging
from fairlead.runtime import Fairlead, open_runtime
from fairlead.settings import Settings
from fairlead.workflows import build_engine
from fairlead_graphql.context import Context
from fairlead_graphql.door import ANONYMOUS, GraphiQL, GraphQLDoor, TrustedDocuments, middleware
from fairlead_graphql.door.limits import Limits
from fairlead_graphql.measured import CountedRequests
from fairlead_graphql.routes import routes
from fairlead_graphql.schema import build_schema


def create_app(settings: Settings | None = None) -> Starlette:
    """The application of this process by its settings; with SQLite the background engine runs in it too."""
    settings = settings or Settings()
    configure_logging(settings.log_level, json=settings.log_json)
    runtime = open_runtime(settings)
    embedded = settings.engine == "dbos"
    if embedded:
        runtime.engine = build_engine(runtime, work=runtime.database.is_sqlite)
    return build_app(runtime, own=True)


def build_app(runtime: Fairlead, *, own: bool = False) -> Starlette:
    """The application over a runtime. With ``own`` its engine starts and everything closes with the application."""
    settings = runtime.settings
    introspect = settings.introspection == "members"
    schema = build_schema(runtime.plugins, Limits(), may_introspect=lambda _principal: introspect)
    trusted = _trusted(settings)

    def authenticate(scope: Scope, payload: Mapping[str, Any] | None) -> Any:
        secret = bearer(scope, payload)
        if secret is None:
            return ANONYMOUS
        found = runtime.authenticate(secret)
        if isinstance(found, Anonymous):
            raise Unauthenticated("this token is unknown, expired or revoked", next_step="issue a new one")
        return found

    def make_context(who: Any, request: Request | WebSocket, _response: Response | None) -> Context:
        return Context(runtime, who, str(request.scope.get("state", {}).get("request_id", "")))

    door = GraphQLDoor(
        schema,
        authenticate=authenticate,
        still_valid=lambda principal: isinstance(principal, Principal) and runtime.still_valid(principal),
        make_context=make_context,
        trusted=trusted,
        allowed_origins=settings.cors_origins,
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if own and runtime.engine is not None:
            await anyio.to_thread.run_sync(runtime.engine.start)
        try:
            yield
        finally:
            door.pool.close()
            if own:
                await anyio.to_thread.run_sync(runtime.close)

    page = GraphiQL(enabled=settings.graphiql, endpoint="/graphql")
    served = [
        *page.routes(),
        *([Route("/", _to_graphiql)] if settings.graphiql else []),
        Route("/graphql", door),
        WebSocketRoute("/graphql", door),
        *routes(runtime),
    ]
    app = Starlette(
        routes=served,
        middleware=[
            Middleware(CountedRequests, metrics=runtime.metrics, routes=served),
            *middleware(allowed_hosts=settings.trusted_hosts, cors_origins=settings.cors_origins),
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.runtime, app.state.schema, app.state.door = runtime, schema, door
    return app


def _trusted(settings: Settings) -> TrustedDocuments:
    path = settings.trusted_documents
    if path is None:
        return TrustedDocuments(enforced=settings.trusted_documents_only)
    try:
        return TrustedDocuments.load(path, enforced=settings.trusted_documents_only)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(
            f"the trusted documents {path} cannot be used: {reason}",
            path=("FAIRLEAD_TRUSTED_DOCUMENTS",),
            next_step="name a folder of *.graphql files, or a JSON file of documents by SHA-256 (hashAlgorithm sha256)",
        ) from None


async def _to_graphiql(_request: Request) -> Response:
    return RedirectResponse("/graphiql", 307)


def bearer(scope: Scope, payload: Mapping[str, Any] | None) -> str | None:
    """The token of a request or of a socket's ``connection_init``; ``None`` when none is offered."""
    given: object = None
    if payload is not None:
        given = payload.get("authorization", payload.get("Authorization"))
    if given is None:
        values = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        if len(values) > 1:
            raise Unauthenticated("give one Authorization header")
        given = values[0].decode("latin-1") if values else None
    if given is None:
        return None
    kind, _, secret = str(given).partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("this is no bearer token", next_step="send `Authorization: Bearer <token>`")
    return secret.strip()
