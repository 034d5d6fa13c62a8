"""A bounded pool of threads for synchronous work, shared fairly between callers.

A time-out cannot stop a thread, so a thread counts as busy until its work has really ended, not until somebody stops
waiting for it. One caller holds at most its share of the threads, waiting work of different callers takes turns, and
the queue is bounded: beyond it the answer is 503 with ``Retry-After``.

Each thread has an event loop of its own, so that a resolver may be asynchronous or use a DataLoader while the
synchronous ones beside it block nobody else.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

from fairlead.errors import Unavailable
from fairlead_graphql.door.errors import TIMEOUT, UNAVAILABLE, Refused

T = TypeVar("T")


class Deadline:
    """When the current operation must have ended, for whoever works for it in a thread.

    ``on_abort`` registers what stops the work that cannot see the clock, for instance ``sqlite3.Connection.interrupt``;
    it is called at most once, from another thread, and must not raise.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._stops: list[Callable[[], object]] = []
        self._aborted = False
        self._lock = threading.Lock()

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def aborted(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self._aborted or self.remaining == 0.0

    def check(self) -> None:
        """Raise :class:`fairlead.errors.Unavailable` when the time is over; to be called before a commit."""
        if self.aborted:
            raise Unavailable("The time for this request is over.", next_step="Repeat it with the same idempotencyKey.")

    def on_abort(self, stop: Callable[[], object]) -> Callable[[], None]:
        """Call ``stop`` when the operation is aborted; the function returned takes it back."""
        with self._lock:
            if not self._aborted:
                self._stops.append(stop)
                return lambda: self._forget(stop)
        stop()
        return lambda: None

    def abort(self) -> None:
        """Tell everybody who works for this operation to stop."""
        with self._lock:
            stops, self._stops, self._aborted = self._stops, [], True
        for stop in stops:
            stop()

    def _forget(self, stop: Callable[[], object]) -> None:
        with self._lock:
            if stop in self._stops:
                self._stops.remove(stop)


_DEADLINE: ContextVar[Deadline | None] = ContextVar("fairlead_deadline", default=None)


def current_deadline() -> Deadline | None:
    """The deadline of the operation this thread works for; ``None`` outside the door (workers, tests)."""
    return _DEADLINE.get()


class WorkPool:
    """``threads`` threads, ``share`` of them for one caller at most, and a queue of ``waiting`` pieces of work."""

    def __init__(self, threads: int, share: int, waiting: int) -> None:
        self._threads = threads
        self._share = min(share, threads)
        self._most_waiting = waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="fairlead-graphql")
        self._lock = threading.Lock()
        self._busy = 0
        self._held: Counter[str] = Counter()
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        self._waiting = 0

    async def run(self, key: str, deadline: Deadline, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread for the caller ``key`` and wait for it until the deadline.

        Raises :class:`Refused` with 503 when the queue is full and with 504 when the time is over; the work is then
        told to stop through its deadline, and goes on holding its thread until it has ended.
        """
        await self._take(key, deadline)
        context = contextvars.copy_context()
        context.run(_DEADLINE.set, deadline)
        try:
            future: ThreadFuture[T] = self._executor.submit(context.run, work)
        except RuntimeError:
            self._give_back(key)
            raise _unavailable("The server is going down.") from None
        future.add_done_callback(lambda _: self._give_back(key))
        try:
            async with asyncio.timeout(deadline.remaining):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            deadline.abort()
            raise _timeout() from None
        except asyncio.CancelledError:
            deadline.abort()
            raise

    async def run_async(self, key: str, deadline: Deadline, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """As :meth:`run`, for a coroutine, on the event loop of the thread. It is cancelled when the time is over."""
        return await self.run(key, deadline, lambda: _on_own_loop(deadline, work))

    @property
    def busy(self) -> int:
        """Threads at work, those included whose result nobody waits for."""
        return self._busy

    @property
    def waiting(self) -> int:
        """Pieces of work in the queue."""
        return self._waiting

    def close(self) -> None:
        """Take no more work; what runs is finished by its thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _take(self, key: str, deadline: Deadline) -> None:
        with self._lock:
            if self._busy < self._threads and self._held[key] < self._share:
                self._hold(key)
                return
            if self._waiting >= self._most_waiting:
                raise _unavailable("The server is busy.")
            loop = asyncio.get_running_loop()
            waiter = _Waiter(loop, loop.create_future())
            self._queues.setdefault(key, deque()).append(waiter)
            self._waiting += 1
        try:
            async with asyncio.timeout(deadline.remaining):
                await waiter.future
        except BaseException as error:
            self._leave(key, waiter)
            if isinstance(error, TimeoutError):
                raise _unavailable("The server is busy.") from None
            raise

    def _leave(self, key: str, waiter: _Waiter) -> None:
        with self._lock:
            if not waiter.granted:
                queue = self._queues.get(key)
                if queue is not None:
                    queue.remove(waiter)
                    if not queue:
                        del self._queues[key]
                self._waiting -= 1
                return
        self._give_back(key)

    def _hold(self, key: str) -> None:
        self._busy += 1
        self._held[key] += 1

    def _give_back(self, key: str) -> None:
        with self._lock:
            self._busy -= 1
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
            self._serve_next()

    def _serve_next(self) -> None:
        while self._busy < self._threads:
            key = next((each for each in self._queues if self._held[each] < self._share), None)
            if key is None:
                return
            queue = self._queues[key]
            waiter = queue.popleft()
            self._waiting -= 1
            # The caller goes to the end of the line: callers take turns, whatever each has waiting.
            del self._queues[key]
            if queue:
                self._queues[key] = queue
            waiter.granted = True
            self._hold(key)
            try:
                waiter.loop.call_soon_threadsafe(waiter.wake)
            except RuntimeError:  # the waiter's loop is closed: nobody waits
                self._busy -= 1
                self._held[key] -= 1


class _Waiter:
    def __init__(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        self.loop = loop
        self.future = future
        self.granted = False

    def wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class _OwnLoop:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def __del__(self) -> None:
        # Runs when the thread ends and its locals go.
        self.loop.close()


class _Locals(threading.local):
    def __init__(self) -> None:
        self.own = _OwnLoop()


_locals = _Locals()


def _on_own_loop(deadline: Deadline, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = _locals.own.loop
    task = loop.create_task(work())
    forget = deadline.on_abort(lambda: loop.call_soon_threadsafe(task.cancel))
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        # What the operation left behind must not wake up inside the next one on this thread.
        rest = asyncio.all_tasks(loop)
        for each in rest:
            each.cancel()
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        raise _timeout() from None
    finally:
        forget()


def _timeout() -> Refused:
    return Refused(
        504,
        TIMEOUT,
        "The operation took too long and was stopped. A mutation may have had its effect: "
        "repeat it with the same idempotencyKey.",
    )


def _unavailable(message: str) -> Refused:
    return Refused(503, UNAVAILABLE, message, {"Retry-After": "1"})
