"""graphql-transport-ws sockets, held to the same limits as HTTP and closed when their caller loses the right to them.

The protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md. Close codes: 4400 bad message, 4401
nobody signed in, 4403 refused or revoked, 4408 no ``connection_init`` in time, 4429 too many messages, 1009 too large.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.types.execution import ExecutionResult

from fairlead_graphql.door import errors
from fairlead_graphql.door.answers import bounded
from fairlead_graphql.door.decode import Operation as Asked
from fairlead_graphql.door.decode import operation as read_operation
from fairlead_graphql.door.errors import Refused, refusal
from fairlead_graphql.door.pool import Deadline
from fairlead_graphql.door.principal import ANONYMOUS, Anonymous, Principal
from graphql import GraphQLError

if TYPE_CHECKING:
    from fairlead_graphql.door.app import GraphQLDoor

_ID_LENGTH = 128


class DoorSocket(ASGIWebSocketAdapter):
    """Messages in and out: text frames of limited size and rate, decoded by the one door for bytes."""

    ws: WebSocket
    view: GraphQLDoor

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """Decoded messages until the socket closes; it closes itself on the first one that is not acceptable."""
        limits = self.view.limits
        rate = _Rate(limits.socket_messages_per_second)
        while self.ws.application_state is WebSocketState.CONNECTED:
            try:
                message = await self.ws.receive()
            except (RuntimeError, WebSocketDisconnect):
                return
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            if not isinstance(text, str):
                await self.close(4400, "Send text.")
            elif len(text.encode("utf-8", "surrogatepass")) > limits.socket_frame_bytes:
                await self.close(1009, "The message is too large.")
            elif not rate.allows():
                await self.close(4429, "Too many messages.")
            else:
                try:
                    yield self.view.decode_json(text)
                except Refused:
                    await self.close(4400, "The message is not acceptable JSON.")

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message as text, which the protocol asks for."""
        await self.send_text(self.view.encode_json(message).decode())

    async def send_text(self, text: str) -> None:
        """Send one frame. Raises ``WebSocketDisconnected`` when the socket is gone."""
        try:
            await self.ws.send_text(text)
        except (WebSocketDisconnect, RuntimeError) as gone:
            raise WebSocketDisconnected from gone

    async def close(self, code: int, reason: str) -> None:
        """Close with one of our own reasons; closing twice is fine."""
        if self.ws.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect, RuntimeError):
                await self.ws.close(code=code, reason=reason)


class _Rate:
    """At most ``most`` events in any second of the loop's clock, counted in buckets of one second."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._count = 0

    def allows(self) -> bool:
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= self._most


class DoorSocketHandler(BaseGraphQLTransportWSHandler[Any, Any]):
    """One socket: who it belongs to, its operations, and the regular check that it may stay open."""

    view: GraphQLDoor
    websocket: DoorSocket

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.principal: Principal | Anonymous = ANONYMOUS
        self.watch: asyncio.Task[None] | None = None
        self.asked: dict[str, Asked] = {}

    async def handle_task_exception(self, error: Exception) -> None:
        """What breaks is logged by type, never with its text."""
        errors.count(errors.INTERNAL)
        errors.log_unhandled(error, "")

    async def shutdown(self) -> None:
        """Stop the check and every operation."""
        if self.watch:
            self.watch.cancel()
        await super().shutdown()

    async def handle_message(self, message: Any) -> None:
        """Dispatch a message after checking the types strawberry takes for granted."""
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            await self.handle_invalid_message("")
            return
        kind = message["type"]
        if kind in ("subscribe", "complete"):
            identity = message.get("id")
            if not isinstance(identity, str) or not 0 < len(identity) <= _ID_LENGTH:
                await self.handle_invalid_message("")
                return
        await super().handle_message(cast("Any", message))

    async def handle_invalid_message(self, error_message: str) -> None:
        """Close with a reason of our own: strawberry's would repeat the client's text."""
        await self.websocket.close(4400, "The message is not acceptable.")

    async def handle_connection_init(self, message: Any) -> None:
        """Authenticate before anything is acknowledged; whoever is not surely somebody is turned away."""
        if self.connection_timed_out:
            return
        payload = message.get("payload")
        if payload is not None and not isinstance(payload, dict):
            await self.websocket.close(4400, "The payload must be an object.")
            return
        if self.connection_init_received:
            await self.websocket.close(4429, "Too many initialisation requests.")
            return
        self.connection_init_received = True
        if self.connection_init_timeout_task:
            self.connection_init_timeout_task.cancel()
        scope = self.websocket.ws.scope
        try:
            principal = await self.view.identify(scope, payload or {}, Deadline(self.view.limits.socket_init_seconds))
        except Refused as refused:
            errors.count(refused.code)
            busy = refused.status in (503, 504)
            await self.websocket.close(4503 if busy else 4403, "Unavailable" if busy else "Forbidden")
            return
        except Exception as broken:  # noqa: BLE001 - fails closed, and is logged by type
            await self.handle_task_exception(broken)
            await self.websocket.close(4403, "Forbidden")
            return
        if isinstance(principal, Anonymous):
            errors.count(errors.UNAUTHENTICATED)
            await self.websocket.close(4401, "Unauthorized")
            return
        self.principal = principal
        self.watch = asyncio.create_task(self._watch())
        await self.send_message({"type": "connection_ack"})
        self.connection_acknowledged = True

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.view.limits.recheck_seconds)
            if not await self.view.still_valid(self.principal, self.websocket.ws.scope):
                for identity in list(self.operations):
                    await self.cleanup_operation(identity)
                await self.websocket.close(4403, "Forbidden")
                return

    async def handle_subscribe(self, message: Any) -> None:
        """Start an operation, once its payload is what the protocol says it must be."""
        if self.connection_acknowledged:
            try:
                asked = read_operation(message.get("payload"))
                if asked.query is None and asked.document_id is None and not asked.extensions:
                    raise errors.bad_request("There is no query.")
            except Refused:
                await self.handle_invalid_message("")
                return
            message = {**message, "payload": {"query": ""}}
            if message["id"] not in self.operations and len(self.operations) >= self.view.limits.socket_subscriptions:
                error = refusal(errors.QUERY_TOO_WIDE, "Too many operations are open on this socket.")
                await self.send_message({"id": message["id"], "type": "error", "payload": [error.formatted]})
                return
            self.asked[message["id"]] = asked
        await super().handle_subscribe(message)

    async def run_operation(self, operation: Operation[Any, Any]) -> None:
        """Run one operation to its end, with a context of its own, and never raise."""
        asked = self.asked.pop(operation.id)
        results = self.view.stream_operation(asked, self.principal, self.websocket.ws)
        try:
            try:
                first = True
                async for result in results:
                    if first and result.data is None and result.errors and not any(e.path for e in result.errors):
                        await operation.send_initial_errors(result.errors)
                        return
                    await self._send(operation, result)
                    first = False
            finally:
                await results.aclose()
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except WebSocketDisconnected:
            self.operations.pop(operation.id, None)
        except Exception as broken:  # noqa: BLE001 - masked for the client, logged by type
            await self.handle_task_exception(broken)
            with suppress(WebSocketDisconnected):
                await operation.send_initial_errors([GraphQLError(errors.MASKED, extensions={"code": errors.INTERNAL})])

    async def _send(self, operation: Operation[Any, Any], result: ExecutionResult) -> None:
        if not operation.completed:
            body = bounded(result, self.view.limits).decode()
            identity = self.view.encode_json(operation.id).decode()
            await self.websocket.send_text(f'{{"id":{identity},"type":"next","payload":{body}}}')
