"""A worker process for the crash test: ``crash_worker.py URL EXECUTOR_ID LOG SECONDS``. Works until it is killed."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import sqlalchemy as sa

from fairlead.engine.dbos_engine import DbosEngine
from fairlead.engine.dbos_setup import system_url
from fairlead.engine.port import Queue

url, executor_id, log, seconds = sys.argv[1:]


def write(*words: object) -> None:
    """Append one line in one system call, so that a kill never leaves half a line."""
    handle = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(handle, (" ".join(map(str, words)) + "\n").encode())
    os.close(handle)


def batch(payload: dict[str, Any]) -> int:
    """One run: say that it starts, take some time, say that it is done."""
    write("start", payload["n"], executor_id)
    time.sleep(0.1)
    write("done", payload["n"], executor_id)
    return int(payload["n"])


engine = DbosEngine(
    sa.create_engine(url),
    system_url(url),
    executor_id=executor_id,
    queues=(Queue("default", workers=3),),
    poll=0.1,
    heartbeat=0.3,
    dead_after=2.0,
)
engine.register("batch", batch)
engine.start()
write("ready", "-", executor_id)
time.sleep(float(seconds))
os._exit(0)
