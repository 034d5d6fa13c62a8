"""Kill -9 of real workers at random moments of the demonstration's journey: nothing is lost, nothing is sent twice.

The processes are those an operator starts: ``fairlead serve`` on SQLite, two ``fairlead worker`` on PostgreSQL. Mail is
the hard case: it takes no key, so what was leaving when a worker died must end as ``unknown`` and nowhere else. The
journey's two and a half days pass by moving the clock of all processes, as the demonstration does.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rich.console import Console

from fairlead.clients.service import create_agency
from fairlead.customers.model import Identity
from fairlead.customers.profiles import IDENTITY_COLUMN
from fairlead.demo.clock import START, DemoClock
from fairlead.demo.sample import write_sample
from fairlead.demo.sample_shop import CART_NOT_BOUGHT, GRAPH, MAPPINGS, SHOP, SUBJECT, TEXT
from fairlead.demo.stage import Stage
from fairlead.journeys.model import Enrolment
from fairlead.journeys.workflows import run_client
from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.leases import SENDER_LOST
from fairlead.messaging.model import QUEUED, REFUSED, SENDING, SENT, UNKNOWN, Message
from fairlead.messaging.templates import save_template
from fairlead.messaging.workflows import due_accounts
from fairlead.runtime import Fairlead, open_runtime
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.crypto import Keyring
from fairlead.storage.database import Database
from fairlead_email.twin import MailTwin
from support import moved_clock
from support.invariants import broken

JUMPS = (1, 50, 24)
"""Hours to the mails, past the goal, and past every lease; all of them end within the day, outside quiet hours."""
FIRST = Enrolment.enrolled_at < START.replace(hour=START.hour + 1)
"""Those whom the journey began with; the segment is refreshed on the way, and days later others enter."""
Fate = tuple[str, str]


class SlowServer(MailTwin):
    """Takes its time for each mail, so that there is something to interrupt."""

    pause = 0.0

    def take(self, sender: str, recipients: list[str], raw: bytes) -> None:
        """Wait, then keep it."""
        time.sleep(self.pause)
        super().take(sender, recipients, raw)


def prepare(settings: Settings, people: int, port: int, folder: Path) -> None:
    """The demonstration's shop with a smaller sample, its mail account and its active journey; nobody moved yet."""
    clock = DemoClock()
    sample = write_sample(folder / "sample", people=people)
    assert sample.people == people
    with contextlib.ExitStack() as helpers, open_runtime(settings, clock=clock) as runtime:
        with runtime.agency_work("demo") as work:
            agency = create_agency(work, "demo", "Demo agency")
        engine: Any = None
        stage = Stage(runtime, engine, clock, Console(file=io.StringIO()), folder, agency.id, helpers)
        stage.add_client(SHOP, "明前茶铺", ("email",), zone="Asia/Shanghai", currency="CNY")
        for name, mapping in MAPPINGS.items():
            stage.bring_in(SHOP, folder / "sample" / name, mapping)
        stage.segment(SHOP, "cart_not_bought", "加购未购买", CART_NOT_BOUGHT)
        with runtime.work(SHOP) as work:
            save_template(work, "cart_reminder", subject=SUBJECT, text=TEXT)
        server = {"host": "127.0.0.1", "port": port, "security": "none", "allow_unencrypted": True}
        account = {"from_address": "shop@mingqian.example", "batch": 3, "per_second": 1000}
        stage.connect(SHOP, "email", "mail", server | account)
        stage.journey(SHOP, "cart_reminder", "加购未付款提醒", GRAPH)


def fates(runtime: Fairlead) -> dict[str, Fate]:
    """State and reason of the one message of each person who entered at the beginning, by address."""
    with runtime.reading(SHOP) as work:
        rows = work.session.execute(
            sa.select(Identity.value, Message.state, Message.reason)
            .join(Message, Message.profile_id == Identity.profile_id)
            .join(Enrolment, Enrolment.id == Message.enrolment_id)
            .where(Identity.kind == "email", FIRST)
        ).all()
        found = [(work.vault.open(work.client_id, IDENTITY_COLUMN, value), (*fate,)) for value, *fate in rows]
    return dict(found)  # type: ignore[arg-type]


def unbroken(people: int, folder: Path) -> tuple[dict[str, Fate], set[str]]:
    """What the same journey comes to where nobody dies: fates by address, and who was written to."""
    folder.mkdir()
    settings = Settings(database_url=f"sqlite:///{folder / 'unbroken.db'}", allow_hosts=("127.0.0.1",))
    settings.prepare()
    settings.vault()
    database = Database(settings.database_url)
    migrate.upgrade(database)
    database.dispose()
    clock = DemoClock()
    with MailTwin() as server:
        prepare(settings, people, server.port, folder)
        with open_runtime(settings, clock=clock) as runtime:
            client_id = runtime.client(SHOP).id
            for hours in (0, *JUMPS):
                clock.move(hours=hours)
                while run_client(runtime, client_id)["steps"]:
                    for account in due_accounts(runtime, client_id):
                        dispatch(runtime, client_id, account)
            found = fates(runtime)
        return found, {mail["rcpt_to"][0] for mail in server.mails}


@dataclass
class Crew:
    """The processes of an installation."""

    settings: Settings
    clock: Path
    folder: Path
    alive: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """One process works on SQLite, two on PostgreSQL."""
        return ("worker-1",) if self.settings.database_file else ("worker-1", "worker-2")

    def start(self, name: str) -> None:
        """Start the process of this name, as after a crash of its machine."""
        assert self.settings.key_file is not None
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FAIRLEAD_")} | {
            "FAIRLEAD_DATABASE_URL": self.settings.database_url,
            "FAIRLEAD_KEY_FILE": str(self.settings.key_file),
            "FAIRLEAD_EXECUTOR_ID": name,
            "FAIRLEAD_ALLOW_HOSTS": "127.0.0.1",
            "FAIRLEAD_LOG_LEVEL": "warning",
        }
        words = ("serve", "--port", "0") if self.settings.database_file else ("worker",)
        command = [sys.executable, moved_clock.__file__, str(self.clock), *words]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.alive[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        """Kill -9, and wait until it is gone."""
        process = self.alive.pop(name)
        assert process.poll() is None, self.said(name)
        process.kill()
        process.wait(30)

    def stop(self, name: str) -> None:
        """Ask it to end, as an operator does."""
        process = self.alive.pop(name)
        process.send_signal(signal.SIGTERM)
        # The web server ends by the signal that it was asked with.
        assert process.wait(60) in (0, -signal.SIGTERM), self.said(name)

    def said(self, name: str) -> str:
        """The end of its log."""
        return (self.folder / f"{name}.log").read_text("utf-8")[-2000:]


@contextlib.contextmanager
def crew(settings: Settings, clock: Path, folder: Path) -> Iterator[Crew]:
    """Nobody yet; whoever was started is gone at the end."""
    found = Crew(settings, clock, folder)
    try:
        yield found
    finally:
        for name in list(found.alive):
            found.alive[name].kill()
            found.alive.pop(name).wait(30)


def in_flight(runtime: Fairlead) -> set[str]:
    """Keys of what is being sent, or was taken back from a sender that did not answer in time."""
    lost = sa.and_(Message.state == UNKNOWN, Message.reason == SENDER_LOST)
    with runtime.reading(SHOP) as work:
        return set(work.session.scalars(sa.select(Message.key).where((Message.state == SENDING) | lost)))


def standing_at(runtime: Fairlead, *nodes: str) -> bool:
    """Whether somebody who entered at the beginning stands at one of the nodes."""
    places = [at for at, node in enumerate(GRAPH["nodes"]) if node["id"] in nodes]
    return exists(
        runtime, sa.select(Enrolment.id).where(FIRST, Enrolment.state == "active", Enrolment.node.in_(places))
    )


def under_way(runtime: Fairlead) -> bool:
    """Whether somebody who entered at the beginning is on the journey, or has a message without a fate."""
    waiting = sa.select(Message.id).join(Enrolment, Enrolment.id == Message.enrolment_id)
    waiting = waiting.where(FIRST, Message.state.in_((QUEUED, SENDING)))
    moving = sa.select(Enrolment.id).where(FIRST, Enrolment.state == "active")
    return exists(runtime, moving) or exists(runtime, waiting)


def exists(runtime: Fairlead, rows: sa.Select[Any]) -> bool:
    with runtime.reading(SHOP) as work:
        return work.session.scalar(rows.limit(1)) is not None


@dataclass
class Ordeal:
    """Workers that die at random moments, and what they were sending then."""

    runtime: Fairlead
    server: MailTwin
    crew: Crew
    chance: random.Random
    dying: set[str] = field(default_factory=set)

    def kill(self, times: int, *, sending: bool) -> None:
        """Kill one of them again and again. With ``sending`` each time waits for a mail to leave, though not for ever:
        whoever sends is then in the middle of a batch."""
        for _ in range(times):
            mails, end = len(self.server.mails), time.monotonic() + 12
            while sending and len(self.server.mails) == mails and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(self.chance.uniform(0.0, 0.8 if sending else 3.0))
            assert under_way(self.runtime), "the journey ended before the kills did: give it more people"
            victim = self.chance.choice(self.crew.names)
            self.crew.kill(victim)
            self.dying |= in_flight(self.runtime)
            self.crew.start(victim)

    def kill_all(self) -> None:
        """Nobody is left."""
        for name in self.crew.names:
            self.crew.kill(name)
        self.dying |= in_flight(self.runtime)

    def wait(self, over: Callable[[], bool]) -> None:
        """Let those who live work until then."""
        end = time.monotonic() + 240
        while not over():
            assert time.monotonic() < end, [self.crew.said(name) for name in self.crew.alive]
            time.sleep(0.1)


def survive(url: str, folder: Path, kills: int, people: int) -> None:
    """The whole story: a quarter of the kills before the mails, half of them during, the rest at the journey's end."""
    expected, reached = unbroken(people, folder / "unbroken")
    keys = folder / "worker.keys"
    Keyring.from_file(keys)
    settings = Settings(database_url=url, key_file=keys, allow_hosts=("127.0.0.1",))
    clock = folder / "clock"
    moved_clock.set_clock(clock, START)
    with SlowServer() as server, crew(settings, clock, folder) as found:
        prepare(settings, people, server.port, folder)
        with open_runtime(settings, clock=moved_clock.clock_of(clock)) as runtime:
            ordeal = Ordeal(runtime, server, found, random.Random(kills))
            for name in found.names:
                found.start(name)
            ordeal.kill(kills // 4, sending=False)
            ordeal.wait(lambda: not standing_at(runtime, "start"))
            moved_clock.move_clock(clock, hours=JUMPS[0])
            server.pause = 0.2
            ordeal.kill(kills - 2 * (kills // 4), sending=True)
            server.pause = 0.0
            ordeal.wait(lambda: not standing_at(runtime, "think", "by_mail", "remind"))
            moved_clock.move_clock(clock, hours=JUMPS[1])
            ordeal.kill(kills // 4, sending=False)
            ordeal.kill_all()
            moved_clock.move_clock(clock, hours=JUMPS[2])
            last = found.names[-1]
            found.start(last)
            ordeal.wait(lambda: not under_way(runtime))
            found.stop(last)
            check(runtime, server, expected, reached, ordeal.dying)


def check(runtime: Fairlead, server: MailTwin, expected: dict[str, Fate], reached: set[str], dying: set[str]) -> None:
    """Everybody has the fate of an unbroken run, or a visible ``unknown`` where a worker died while sending."""
    received = Counter(mail["rcpt_to"][0] for mail in server.mails)
    assert max(received.values()) == 1, "somebody was written to twice"
    assert max(Counter(mail["message_id"] for mail in server.mails).values()) == 1
    came_to = fates(runtime)
    assert set(came_to) == set(expected), "the journey took other people to the mail"
    with runtime.reading(SHOP) as work:
        unknown = set(work.session.scalars(sa.select(Message.key).where(Message.state == UNKNOWN)))
    assert unknown <= dying, "a message is unknown that nobody was sending when a worker died"
    for address, (state, reason) in expected.items():
        if state == REFUSED:
            assert came_to[address] == (state, reason)
        else:
            assert state == SENT
            assert came_to[address][0] in (SENT, UNKNOWN), came_to[address]
    sent = {address for address, (state, _) in came_to.items() if state == SENT}
    assert reached & sent <= set(received), "a message counts as sent and never arrived"
    assert set(received) <= reached
    assert sent
    assert broken(runtime.database.engine) == {}


def test_a_few_kills(own_database_url: str, tmp_path: Path) -> None:
    survive(own_database_url, tmp_path, kills=8, people=800)


@pytest.mark.long
def test_fifty_kills_in_one_run(own_database_url: str, tmp_path: Path) -> None:
    survive(own_database_url, tmp_path, kills=50, people=6000)
