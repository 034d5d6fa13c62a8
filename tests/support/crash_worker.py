"""Worker processes to be killed: a warm process that forks one worker per word it reads, and the channels they send by.

``crash_worker.py CONFIG`` reads ``start`` and ``finish`` from standard input and answers with the worker's process id.
A started worker works until it is killed; one that was told to finish ends when nothing is left to do, and writes that
into the file ``done``. Time runs sixty times as fast for workers, so that a wait of a minute takes a second.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel

import fairlead_console
from fairlead.journeys.advance import advance
from fairlead.journeys.model import Enrolment
from fairlead.journeys.triggers import take_in
from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.model import QUEUED, SENDING, Message
from fairlead.messaging.workflows import due_accounts
from fairlead.observability.logging import configure_logging
from fairlead.plugins.contracts.channel import (
    ChannelContext,
    Health,
    HealthState,
    OutgoingMessage,
    SendLimits,
    SendResult,
    SendState,
)
from fairlead.plugins.hookspecs import hookimpl
from fairlead.plugins.manager import Plugins
from fairlead.plugins.manifest import Capability, Kind, Manifest, Title
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.storage.crypto import Keyring, Vault
from fairlead.storage.database import Database
from fairlead_console.channel import ConsoleChannel

SPEED = 60
LEASE = dt.timedelta(seconds=30)
LIMITS = SendLimits(batch=10, per_second=100_000.0)
PAUSE = 0.003


class Plugin:
    """A plugin with one channel."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    @hookimpl
    def fairlead_register_channels(self, register: Callable[[Any], None]) -> None:
        """Register it."""
        register(self.channel)


class SmallConsole(ConsoleChannel):
    """The console in small batches, which drops repeated keys as the real one does."""

    def limits(self, context: ChannelContext) -> SendLimits:
        return LIMITS

    def send(self, context: ChannelContext, messages: Sequence[OutgoingMessage]) -> Sequence[SendResult]:
        time.sleep(PAUSE)
        results = super().send(context, messages)
        time.sleep(PAUSE)
        return results


class RecorderSettings(BaseModel):
    """Where to write."""

    path: str


class Recorder:
    """Takes no key: whatever it is given goes out, one by one, and stands in its file once for each time."""

    idempotent = False
    address_kinds: tuple[str, ...] = ("member",)
    manifest = Manifest(
        name="recorder",
        kind=Kind.CHANNEL,
        version="1.0",
        title=Title("记录", "Recorder"),
        description=Title("记录每次发送", "Records each sending"),
        settings=RecorderSettings,
        capabilities=frozenset({Capability.MESSAGES}),
    )

    def check(self, context: ChannelContext) -> Health:
        return Health(HealthState.OK)

    def limits(self, context: ChannelContext) -> SendLimits:
        return LIMITS

    def send(self, context: ChannelContext, messages: Sequence[OutgoingMessage]) -> Sequence[SendResult]:
        for message in messages:
            line = json.dumps({"key": message.key, "address": message.address}) + "\n"
            handle = os.open(context.settings.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
            os.write(handle, line.encode())
            os.close(handle)
            time.sleep(PAUSE / 5)
        return [SendResult(message.key, SendState.SENT) for message in messages]


CHANNELS: dict[str, Callable[[], Any]] = {"console": SmallConsole, "recorder": Recorder}


def plugins_with(channel: str) -> Plugins:
    """The plugins of a worker, and of the test that starts it."""
    assert fairlead_console.__name__ == "fairlead_console"
    return Plugins.for_tests(Plugin(CHANNELS[channel]()))


def fast_clock(since: float) -> Callable[[], dt.datetime]:
    """A clock that runs :data:`SPEED` times as fast since an instant (seconds of the epoch)."""
    start = dt.datetime.fromtimestamp(since, dt.UTC)

    def now() -> dt.datetime:
        passed = start + dt.timedelta(seconds=(time.time() - since) * SPEED)
        return passed.replace(microsecond=passed.microsecond // 1000 * 1000)

    return now


def open_worker(config: dict[str, Any]) -> Fairlead:
    """A runtime on the test's database."""
    url = config["url"]
    return Fairlead(
        Settings(database_url=url),
        Database(url),
        Vault(Keyring.parse(config["keys"])),
        plugins_with(config["channel"]),
        clock=fast_clock(config["since"]),
    )


def nothing_left(runtime: Fairlead, client: str) -> bool:
    """Whether nobody is under way and no message waits."""
    with runtime.reading(client) as work:
        moving = work.session.scalar(sa.select(Enrolment.id).where(Enrolment.state == "active").limit(1))
        waiting = work.session.scalar(sa.select(Message.id).where(Message.state.in_((QUEUED, SENDING))).limit(1))
    return moving is None and waiting is None


def work(config: dict[str, Any], *, finish: bool) -> None:
    """Take in, move, send, again and again."""
    runtime = open_worker(config)
    client = config["client"]
    client_id = runtime.client(client).id
    end = time.monotonic() + 60
    while not finish or time.monotonic() < end:
        runtime.run(client, take_in)
        advance(runtime, client, size=10)
        for account in due_accounts(runtime, client_id):
            dispatch(runtime, client_id, account, lease=LEASE)
        if nothing_left(runtime, client):
            Path(config["done"]).touch()
            if finish:
                return
        time.sleep(0.01)


def serve(config: dict[str, Any]) -> None:
    """Fork a worker per line, so that none has to be imported anew."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            os.close(0)
            try:
                work(config, finish=line.strip() == "finish")
            finally:
                os._exit(0)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    configure_logging("error", json=False)
    serve(json.loads(sys.argv[1]))
