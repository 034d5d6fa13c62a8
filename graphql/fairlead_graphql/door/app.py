"""The ASGI application at ``/graphql``: POST with JSON, event streams (SSE), and graphql-transport-ws sockets."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http.websocket_origin import is_same_origin
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from fairlead.errors import DomainError
from fairlead_graphql.door import errors
from fairlead_graphql.door.answers import bounded, encode
from fairlead_graphql.door.decode import Operation, decode, operation, read_body, too_large
from fairlead_graphql.door.errors import Refused, bad_request, public_errors
from fairlead_graphql.door.heads import accepts_events, is_json, json_response
from fairlead_graphql.door.pool import Deadline, WorkPool
from fairlead_graphql.door.principal import ANONYMOUS, Anonymous, Principal, certain
from fairlead_graphql.door.schema_config import EVENTS, DoorExecutor, DoorSchema
from fairlead_graphql.door.sockets import DoorSocket, DoorSocketHandler
from fairlead_graphql.door.streams import event_stream, while_valid
from fairlead_graphql.door.trusted import TrustedDocuments
from graphql import ExecutionResult as GraphQLExecutionResult
from graphql import GraphQLError

Who = Principal | Anonymous
Authenticate = Callable[[Scope, Mapping[str, Any] | None], Who | Awaitable[Who]]
StillValid = Callable[[Principal], bool | Awaitable[bool]]
MakeContext = Callable[[Who, Request | WebSocket, Response | None], Any]

# Mutations and subscriptions never travel in a URL: links are followed by whoever sees them.
_GET = (OperationType.QUERY,)
_POST = (OperationType.QUERY, OperationType.MUTATION)


class GraphQLDoor(GraphQL[Any, Any]):
    """Serves a :class:`DoorSchema`.

    ``authenticate(scope, payload)`` says who asks: :data:`ANONYMOUS` when no identity is offered, a principal when
    it is good, else it raises :class:`fairlead.errors.Unauthenticated`. ``payload`` is that of ``connection_init``
    on a socket and ``None`` over HTTP. ``still_valid(principal)`` is asked again and again on open sockets and event
    streams. ``make_context(principal, request, response)`` makes the resolvers' context, which must have the attribute
    ``principal``; when it returns a context manager, what that yields is the context and it is left after the
    operation. It is called in the thread that runs the operation; a subscription has one on the event loop for its
    source, and one in a thread for each event. ``response`` takes headers for the answer, ``None`` where there is none.
    ``authenticate`` and ``still_valid`` may be plain functions, which then run in the pool, or coroutine functions.
    """

    websocket_adapter_class = DoorSocket
    graphql_transport_ws_handler_class = DoorSocketHandler
    schema: DoorSchema

    def __init__(
        self,
        schema: DoorSchema,
        *,
        authenticate: Authenticate,
        still_valid: StillValid,
        make_context: MakeContext,
        trusted: TrustedDocuments | None = None,
        allow_get: bool = False,
        allowed_origins: Sequence[str] = (),
        pool: WorkPool | None = None,
    ) -> None:
        limits = schema.limits
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=allow_get,
            multipart_uploads_enabled=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL),
            connection_init_wait_timeout=timedelta(seconds=limits.socket_init_seconds),
            max_subscriptions_per_connection=limits.socket_subscriptions,
            allowed_origins=allowed_origins,
        )
        self.limits = limits
        self.trusted = trusted or TrustedDocuments()
        self.pool = pool or WorkPool(limits.threads, limits.threads_per_caller, limits.waiting)
        self._authenticate = authenticate
        self._still_valid = still_valid
        self._make_context = make_context
        self.sockets: Counter[str] = Counter()
        self.streams: Counter[str] = Counter()

    # -- one way in and out -----------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Whatever a client sends over HTTP is answered with JSON; what breaks is masked."""
        if scope["type"] == "websocket":
            await self._socket(WebSocket(scope, receive=receive, send=send))
            return
        if scope["type"] != "http":
            return
        request = Request(scope, receive=receive, send=send)
        try:
            response = await self.answer(request)
        except Refused as refused:
            errors.count(refused.code)
            response = json_response(encode(refused.body()), refused.status, refused.headers)
        except Exception as broken:  # noqa: BLE001 - the last line of defence: masked for the client, logged by type
            errors.count(errors.INTERNAL)
            errors.log_unhandled(broken, "")
            response = json_response(encode(Refused(500, errors.INTERNAL, errors.MASKED).body()), 500)
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The response to one HTTP request. Raises :class:`Refused` for what never reaches GraphQL."""
        deadline = Deadline(self.limits.request_seconds)
        self._check_head(request)
        principal = await self.identify(request.scope, None, deadline)
        asked = await self._read(request)
        if accepts_events(request):
            return self._event_stream(request, asked, principal)
        response = await self.get_sub_response(request)
        allowed = _GET if request.method == "GET" else _POST
        body = await self.run_operation(
            asked, principal, deadline, allowed, request, response, lambda result: bounded(result, self.limits)
        )
        answer = json_response(body, response.status_code or 200)
        answer.headers.raw.extend(response.headers.raw)
        return answer

    # -- reading ----------------------------------------------------------------------------------------------------

    def decode_json(self, data: str | bytes) -> object:
        """JSON from a body or a socket; see :func:`fairlead_graphql.door.decode.decode`."""
        return decode(data, self.limits.json_depth)

    def encode_json(self, data: object) -> bytes:
        """JSON for an answer, on one line."""
        return encode(data)

    def _check_head(self, request: Request) -> None:
        if request.method == "GET" and self.allow_queries_via_get:
            return
        if request.method != "POST":
            raise Refused(405, errors.BAD_REQUEST, "Send GraphQL by POST.", {"Allow": "POST"})
        # Only this type makes a browser ask before it sends a request from another site, so it is the CSRF guard.
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding != "identity" or not is_json(request.headers.get("content-type", "")):
            raise Refused(415, errors.BAD_REQUEST, "Send application/json in UTF-8, not compressed.")
        declared = request.headers.get("content-length", "0")
        if not (declared.isascii() and declared.isdigit()) or len(declared) > 19:
            raise bad_request("The content length is not acceptable.")
        if int(declared) > self.limits.body_bytes:
            raise too_large(self.limits.body_bytes)

    async def _read(self, request: Request) -> Operation:
        if request.method == "GET":
            return self._read_get(request)
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                body = await read_body(request.receive, self.limits.body_bytes)
        except TimeoutError:
            message = "The request took too long to arrive."
            raise Refused(408, errors.BAD_REQUEST, message, {"Connection": "close"}) from None
        return operation(self.decode_json(body))

    def _read_get(self, request: Request) -> Operation:
        values: dict[str, Any] = {}
        for name, text in request.query_params.multi_items():
            if name in values:
                raise bad_request("A parameter is given twice.")
            if name in ("variables", "extensions"):
                values[name] = self.decode_json(text)
            else:
                # Through the same door as a body, for the characters it refuses.
                values[name] = self.decode_json(encode(text))
        asked = operation(values)
        if asked.query is not None or (asked.document_id is None and "persistedQuery" not in asked.extensions):
            raise bad_request("GET runs trusted documents only: send `documentId`, and the query by POST.")
        return asked

    async def identify(self, scope: Scope, payload: Mapping[str, Any] | None, deadline: Deadline) -> Who:
        """Who asks. Raises :class:`Refused` with 401 when an identity is offered that is not good."""
        try:
            return certain(await self._ask(self._authenticate, scope, deadline, scope, payload))
        except DomainError as refused:
            status, headers = (403, {}) if refused.code == errors.FORBIDDEN else (401, {"WWW-Authenticate": "Bearer"})
            code = errors.FORBIDDEN if status == 403 else errors.UNAUTHENTICATED
            raise Refused(status, code, refused.message, headers) from None

    async def still_valid(self, principal: Who, scope: Scope) -> bool:
        """Whether an open socket or stream may stay open; a check that fails counts as no."""
        if isinstance(principal, Anonymous):
            return True
        try:
            deadline = Deadline(self.limits.request_seconds)
            return await self._ask(self._still_valid, scope, deadline, principal) is True
        except Refused as busy:
            # Too busy to ask is no reason to close; the next check comes soon.
            return busy.status == 503
        except Exception as broken:  # noqa: BLE001 - fails closed
            errors.log_unhandled(broken, "")
            return False

    async def _ask(self, function: Callable[..., Any], scope: Scope, deadline: Deadline, *args: Any) -> Any:
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            async with asyncio.timeout(deadline.remaining):
                return await function(*args)
        return await self.pool.run(f"address:{address(scope)}", deadline, lambda: function(*args))

    # -- running ----------------------------------------------------------------------------------------------------

    async def run_operation(
        self,
        asked: Operation,
        principal: Who,
        deadline: Deadline,
        allowed: Sequence[OperationType],
        request: Request | WebSocket,
        response: Response | None,
        finish: Callable[[ExecutionResult], Any],
    ) -> Any:
        """Run a query or mutation in a thread, its answer included: ``finish`` turns the result into what is sent."""
        try:
            query = self.trusted.text(asked)
        except GraphQLError as error:
            return finish(_refused(error))

        async def work() -> Any:
            try:
                with entered(self._make_context(principal, request, response)) as context:
                    return finish(
                        await self.schema.execute(
                            query,
                            variable_values=asked.variables,
                            context_value=context,
                            operation_name=asked.operation_name,
                            allowed_operation_types=allowed,
                            operation_extensions=asked.extensions,
                        )
                    )
            except DomainError as refused:
                located = GraphQLError(refused.message, original_error=refused)
                errors.report([located], None)
                return finish(PreExecutionError(None, public_errors([located], self.limits.errors)))

        return await self.pool.run_async(principal.key, deadline, work)

    async def stream_operation(
        self, asked: Operation, principal: Who, request: Request | WebSocket
    ) -> AsyncGenerator[ExecutionResult, None]:
        """Run any operation as a stream of results: one for a query or mutation, one per event for a subscription.

        Parsing, judging and validating happen in a thread, as do queries and mutations.
        """
        deadline = Deadline(self.limits.request_seconds)
        try:
            query = self.trusted.text(asked)
            prepared = await self.pool.run(
                principal.key,
                deadline,
                lambda: self.schema.prepare(query, asked.variables, asked.operation_name, principal),
            )
            if prepared.refused is not None:
                yield prepared.refused
                return
            if prepared.kind is not OperationType.SUBSCRIPTION:
                yield await self.run_operation(asked, principal, deadline, _POST, request, None, lambda result: result)
                return
        except GraphQLError as error:
            yield _refused(error)
            return
        except Refused as refused:
            errors.count(refused.code)
            yield _refused(errors.refusal(refused.code, refused.message))
            return
        EVENTS.set(lambda executor: self._run_event(executor, principal, request))
        with entered(self._make_context(principal, request, None)) as context:
            results = await self.schema.stream(
                query,
                variable_values=asked.variables,
                context_value=context,
                operation_name=asked.operation_name,
                operation_extensions=asked.extensions,
                allowed_operation_types=(OperationType.SUBSCRIPTION,),
            )
            try:
                async for result in results:
                    yield result
            finally:
                await results.aclose()

    async def _run_event(
        self, executor: DoorExecutor, principal: Who, request: Request | WebSocket
    ) -> GraphQLExecutionResult:
        # An event is resolved like a query: in a thread, in time, with a context that has seen nothing older.
        async def work() -> GraphQLExecutionResult:
            with entered(self._make_context(principal, request, None)) as context:
                return await executor.execute_event(context)

        try:
            return await self.pool.run_async(principal.key, Deadline(self.limits.request_seconds), work)
        except Refused as refused:
            return GraphQLExecutionResult(None, [errors.refusal(refused.code, refused.message)])

    # -- event streams ----------------------------------------------------------------------------------------------

    def _event_stream(self, request: Request, asked: Operation, principal: Who) -> Response:
        if request.method == "GET":
            raise bad_request("Event streams are opened by POST.")
        if self.streams[principal.key] >= self.limits.streams_per_caller:
            raise Refused(429, errors.UNAVAILABLE, "Too many event streams are open.", {"Retry-After": "5"})
        transport = self._get_stream_transport("sse")
        assert transport is not None
        results = while_valid(
            self.stream_operation(asked, principal, request),
            lambda: self.still_valid(principal, request.scope),
            self.limits.recheck_seconds,
        )
        body: AsyncIterator[str] = event_stream(results, transport, self.limits)
        return StreamingResponse(self._counted(body, principal.key), headers=dict(transport.headers))

    async def _counted(self, body: AsyncIterator[str], key: str) -> AsyncGenerator[str, None]:
        self.streams[key] += 1
        try:
            async for chunk in body:
                yield chunk
        finally:
            self.streams[key] -= 1
            if not self.streams[key]:
                del self.streams[key]

    # -- sockets ----------------------------------------------------------------------------------------------------

    async def _socket(self, socket: WebSocket) -> None:
        host = address(socket.scope)
        if self.sockets[host] >= self.limits.sockets_per_address:
            await self.reject_websocket(socket)
            return
        self.sockets[host] += 1
        try:
            await self.run(socket)
        finally:
            self.sockets[host] -= 1
            if not self.sockets[host]:
                del self.sockets[host]

    def _check_websocket_origin(self, request: WebSocket) -> bool:
        # As strawberry decides, without its log line, which holds the client's text.
        origin = request.headers.get("origin")
        if origin is None or is_same_origin(origin, request.headers.get("host")):
            return True
        if self.is_websocket_origin_allowed(request, origin):
            return True
        errors.count(errors.FORBIDDEN)
        return False

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Any:
        """Nothing yet: a socket's caller is known after ``connection_init``, and each operation has its own context."""
        return None


def address(scope: Scope) -> str:
    """The caller's network address as the server saw it, ``""`` when unknown."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def entered(context: Any) -> AbstractContextManager[Any]:
    """``context`` as a context manager."""
    return context if isinstance(context, AbstractContextManager) else nullcontext(context)


def _refused(error: GraphQLError) -> ExecutionResult:
    found = public_errors([error], 1)
    errors.report(found, None)
    return PreExecutionError(data=None, errors=found)


__all__ = ["ANONYMOUS", "Authenticate", "GraphQLDoor", "MakeContext", "StillValid", "address"]
