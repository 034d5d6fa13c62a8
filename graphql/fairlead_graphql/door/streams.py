"""Results over time: server-sent events, and the re-check of whoever listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from strawberry.http.streaming import HTTPStreamTransport
from strawberry.types.execution import ExecutionResult, PreExecutionError

from fairlead_graphql.door import errors
from fairlead_graphql.door.answers import bounded
from fairlead_graphql.door.limits import Limits


async def while_valid(
    source: AsyncGenerator[ExecutionResult, None], still_valid: Callable[[], Awaitable[bool]], seconds: float
) -> AsyncGenerator[ExecutionResult | None, None]:
    """The results of ``source`` for as long as ``still_valid`` says so, asked every ``seconds``.

    Yields ``None`` at each check that passed, so that the reader knows the stream lives, and ends with an
    UNAUTHENTICATED error when one does not.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    # One task runs the whole source, as an async generator should not change tasks between its steps.
    queue: asyncio.Queue[ExecutionResult | BaseException | None] = asyncio.Queue(maxsize=1)
    task = loop.create_task(_drain(source, queue))
    try:
        while True:
            try:
                found = await asyncio.wait_for(queue.get(), max(0.0, due - loop.time()))
            except TimeoutError:
                found = _NOTHING
            if loop.time() >= due:
                if not await still_valid():
                    yield PreExecutionError(None, [errors.refusal(errors.UNAUTHENTICATED, "The token is revoked.")])
                    return
                due = loop.time() + seconds
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield None if found is _NOTHING else found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


_NOTHING = ExecutionResult(None, None)


async def _drain(source: AsyncGenerator[ExecutionResult, None], queue: asyncio.Queue[Any]) -> None:
    try:
        async for result in source:
            await queue.put(result)
        await queue.put(None)
    except Exception as broken:  # noqa: BLE001 - handed to the reader
        await queue.put(broken)
    finally:
        await source.aclose()


async def event_stream(
    results: AsyncGenerator[ExecutionResult | None, None], transport: HTTPStreamTransport, limits: Limits
) -> AsyncIterator[str]:
    """Results as events of the graphql-sse protocol (distinct connections mode), with comments as heartbeats."""
    try:
        async for result in results:
            if result is None:
                yield transport.heartbeat_message(lambda _: "")
            else:
                yield _event(transport, result, limits)
    except Exception as broken:  # noqa: BLE001 - the status line is long gone: the client gets a masked last event
        errors.count(errors.INTERNAL)
        errors.log_unhandled(broken, "")
        yield _event(transport, PreExecutionError(None, [errors.refusal(errors.INTERNAL, errors.MASKED)]), limits)
    finally:
        await results.aclose()
    yield transport.encode_complete()


def _event(transport: HTTPStreamTransport, result: ExecutionResult, limits: Limits) -> str:
    text = bounded(result, limits).decode()
    return transport.encode_next({}, lambda _: text)
