"""What `/metrics` says of requests and operations."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from strawberry.extensions import SchemaExtension

from fairlead.observability.metrics import Metrics
from fairlead_graphql.context import Context
from fairlead_graphql.door.errors import unhandled


class CountedRequests:
    """ASGI middleware: counts HTTP requests by the pattern of their route, ``other`` where none fits, and status."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = self._route(scope)
            self._metrics.http_requests.labels(route, status).inc()
            self._metrics.http_seconds.labels(route).observe(time.perf_counter() - begun)

    def _route(self, scope: Scope) -> str:
        fitting = (route for route in self._routes if route.matches(scope)[0] is not Match.NONE)
        return str(getattr(next(fitting, None), "path", "other"))


class CountedOperations(SchemaExtension):
    """Counts operations that could be read; of a subscription, the seconds are those until it begins or is refused."""

    def on_operation(self) -> Iterator[None]:
        """Around the whole operation."""
        begun = time.perf_counter()
        yield
        found = self.execution_context
        if not isinstance(found.context, Context) or not found.graphql_document:
            return
        kind, errors = found.operation_type.value, found.result.errors if found.result else found.pre_execution_errors
        broken = any(unhandled(error) is not None for error in errors or ())
        metrics = found.context.runtime.metrics
        metrics.graphql_operations.labels(kind, "failed" if broken else "refused" if errors else "ok").inc()
        metrics.graphql_seconds.labels(kind).observe(time.perf_counter() - begun)
