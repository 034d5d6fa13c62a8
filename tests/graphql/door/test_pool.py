"""Threads: bounded, shared fairly, and busy until their work has really ended."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from fairlead.errors import Unavailable
from fairlead_graphql.door.errors import Refused
from fairlead_graphql.door.pool import Deadline, WorkPool, current_deadline

pytestmark = pytest.mark.anyio
WORD: ContextVar[str] = ContextVar("word", default="")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def gate():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def make_pool(gate):
    pools = []

    def make(threads, share, waiting):
        pools.append(WorkPool(threads, share, waiting))
        return pools[-1]

    yield make
    gate.set()
    for pool in pools:
        pool.close()


async def settled(true):
    for _ in range(1_000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


def blocking(gate):
    gate.wait(20)
    return threading.current_thread().name


async def test_work_runs_elsewhere_with_the_context_of_the_request(make_pool):
    pool = make_pool(1, 1, 0)
    WORD.set("request")
    deadline = Deadline(5)
    name, word, seen = await pool.run(
        "a", deadline, lambda: (threading.current_thread().name, WORD.get(), current_deadline())
    )
    assert name.startswith("fairlead-graphql")
    assert (word, seen) == ("request", deadline)
    assert current_deadline() is None
    with pytest.raises(ZeroDivisionError):
        await pool.run("a", Deadline(5), lambda: 1 // 0)
    await settled(lambda: pool.busy == 0)


async def test_a_full_queue_refuses_and_says_when_to_come_back(make_pool, gate):
    pool = make_pool(1, 1, 1)
    tasks = [asyncio.create_task(pool.run(key, Deadline(20), lambda: blocking(gate))) for key in "ab"]
    await settled(lambda: pool.busy == 1 and pool.waiting == 1)
    with pytest.raises(Refused) as refused:
        await pool.run("c", Deadline(20), lambda: None)
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
    gate.set()
    assert len(await asyncio.gather(*tasks)) == 2
    assert await pool.run("c", Deadline(20), lambda: 3) == 3


async def test_one_caller_cannot_hold_every_thread(make_pool, gate):
    pool = make_pool(3, 2, 10)
    greedy = [asyncio.create_task(pool.run("greedy", Deadline(20), lambda: blocking(gate))) for _ in range(8)]
    await settled(lambda: pool.busy == 2 and pool.waiting == 6)
    assert (
        await asyncio.gather(*[pool.run("modest", Deadline(20), lambda: "served") for _ in range(3)]) == ["served"] * 3
    )
    gate.set()
    await asyncio.gather(*greedy)
    await settled(lambda: (pool.busy, pool.waiting) == (0, 0))


async def test_callers_take_turns(make_pool, gate):
    pool = make_pool(1, 1, 20)
    order = []
    first = asyncio.create_task(pool.run("x", Deadline(20), lambda: blocking(gate)))
    await settled(lambda: pool.busy == 1)
    tasks = []
    for key in ["a", "a", "a", "b", "c", "c"]:
        tasks.append(asyncio.create_task(pool.run(key, Deadline(20), lambda key=key: order.append(key))))
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *tasks)
    assert order == ["a", "b", "c", "a", "c", "a"]


async def test_a_thread_counts_as_busy_until_its_work_ends(make_pool, gate):
    pool = make_pool(1, 1, 1)
    deadline = Deadline(0.05)
    stopped = []
    deadline.on_abort(lambda: stopped.append(True))
    with pytest.raises(Refused) as refused:
        await pool.run("a", deadline, lambda: blocking(gate))
    assert (refused.value.status, refused.value.code) == (504, "TIMEOUT")
    assert stopped == [True]
    assert deadline.aborted
    assert pool.busy == 1
    with pytest.raises(Refused) as refused:
        await pool.run("b", Deadline(0.05), lambda: None)
    assert refused.value.status == 503
    assert pool.waiting == 0
    gate.set()
    await settled(lambda: pool.busy == 0)


async def test_who_stops_waiting_leaves_no_trace(make_pool, gate):
    pool = make_pool(1, 1, 5)
    running = asyncio.create_task(pool.run("a", Deadline(20), lambda: blocking(gate)))
    await settled(lambda: pool.busy == 1)
    waiting = [asyncio.create_task(pool.run("a", Deadline(20), lambda: None)) for _ in range(3)]
    await settled(lambda: pool.waiting == 3)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert pool.waiting == 0
    gate.set()
    await running
    assert await pool.run("a", Deadline(20), lambda: "free") == "free"


async def test_coroutines_run_on_the_loop_of_their_thread_and_are_cancelled_in_time(make_pool):
    pool = make_pool(1, 1, 1)

    async def loop_id():
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    first = await pool.run_async("a", Deadline(5), loop_id)
    assert first == await pool.run_async("a", Deadline(5), loop_id)
    assert first != id(asyncio.get_running_loop())

    ended = []

    async def endless():
        asyncio.get_running_loop().create_task(left_behind())
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("work")

    async def left_behind():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("rest")

    with pytest.raises(Refused):
        await pool.run_async("a", Deadline(0.05), endless)
    await settled(lambda: pool.busy == 0)
    assert sorted(ended) == ["rest", "work"]
    assert await pool.run_async("a", Deadline(5), loop_id) == first


async def test_a_deadline_tells_its_workers(make_pool):
    deadline = Deadline(60)
    calls = []
    forget = deadline.on_abort(lambda: calls.append("forgotten"))
    deadline.on_abort(lambda: calls.append("kept"))
    forget()
    deadline.check()
    deadline.abort()
    deadline.abort()
    deadline.on_abort(lambda: calls.append("late"))
    assert calls == ["kept", "late"]
    with pytest.raises(Unavailable):
        deadline.check()
    assert Deadline(0).aborted
    assert Deadline(0).remaining == 0.0


async def test_a_closed_pool_refuses(make_pool):
    pool = make_pool(1, 1, 1)
    pool.close()
    with pytest.raises(Refused) as refused:
        await pool.run("a", Deadline(1), lambda: None)
    assert refused.value.status == 503
    assert pool.busy == 0
