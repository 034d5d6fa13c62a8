"""Kill -9 at random moments, two workers at a time: nothing is lost, and nothing is sent twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.audiences.segments import create_segment, refresh_segment
from fairlead.channels.service import connect_account
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_agency, create_client
from fairlead.customers.consent import ConsentColumns, record_consents
from fairlead.customers.linking import ClaimColumn, link
from fairlead.facts.fingerprint import fingerprints
from fairlead.journeys.model import Enrolment, Step
from fairlead.journeys.service import activate_journey, create_journey
from fairlead.messaging.leases import SENDER_LOST
from fairlead.messaging.model import SENDING, SENT, UNKNOWN, Message
from fairlead.messaging.policy import Policy, set_policy
from fairlead.messaging.templates import save_template
from fairlead.storage.crypto import Keyring
from fairlead.storage.database import normalise_url
from fairlead.storage.types import to_millis
from support import crash_worker
from support.invariants import broken

CLIENT = "acme"
WORKERS = 2
GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "start", "kind": "trigger_segment", "settings": {"segment": "everybody"}},
        {"id": "hello", "kind": "send", "settings": {"account": "desk", "template": "hello"}},
        {"id": "think", "kind": "wait", "settings": {"minutes": 1}},
        {"id": "mail", "kind": "condition", "settings": {"rule": {"identity": {"kind": "email"}}}},
        {"id": "again", "kind": "send", "settings": {"account": "desk", "template": "hello"}},
        {"id": "end", "kind": "exit"},
    ],
    "edges": [
        {"source": "start", "target": "hello"},
        {"source": "hello", "target": "think"},
        {"source": "think", "target": "mail"},
        {"source": "mail", "outlet": "yes", "target": "again"},
        {"source": "mail", "outlet": "no", "target": "end"},
        {"source": "again", "target": "end"},
    ],
}
STEPS = {"start": 1.0, "hello": 1.0, "think": 1.0, "mail": 1.0, "again": 0.5, "end": 1.0}


@dataclass
class Scene:
    """A client whose people wait to be moved, and what the workers need to know."""

    config: dict[str, Any]
    people: int
    file: Path

    def keys(self) -> Counter[str]:
        """How often each key reached the far side."""
        lines = self.file.read_text("utf-8").splitlines() if self.file.exists() else []
        return Counter(json.loads(line)["key"] for line in lines)

    def done(self) -> bool:
        """Whether a worker said that nothing is left to do."""
        return Path(self.config["done"]).exists()


def make_scene(url: str, channel: str, people: int, folder: Path) -> Scene:
    """The client with its journey, active, nobody moved yet; even people have a mail address."""
    file = folder / "sent.jsonl"
    config = {
        "url": url,
        "keys": Keyring.generate().dump(),
        "channel": channel,
        "since": time.time(),
        "client": CLIENT,
        "done": str(folder / "done"),
    }
    runtime = crash_worker.open_worker(config)
    with runtime.agency_work("test") as work:
        create_client(work, create_agency(work, "main", "Agency").id, CLIENT, "Acme")
    with runtime.work(CLIENT) as work:
        for name in runtime.plugins.names:
            set_plugin(work, runtime.plugins, name, True)
    with runtime.work(CLIENT) as work:
        members = ClaimColumn("member", [f"m{number}" for number in range(people)])
        mails = ClaimColumn("email", [None if number % 2 else f"p{number}@example.com" for number in range(people)])
        linked = link(work, [members, mails], "test")
        consents = ConsentColumns(
            profile_ids=linked.profile_ids,
            fingerprints=fingerprints("test", map(str, range(people))),
            purposes=["marketing"] * people,
            channels=["*"] * people,
            states=["granted"] * people,
            at=[to_millis(work.now)] * people,
            expires_at=[None] * people,
            sources=["test"] * people,
            text_versions=[""] * people,
            evidence=["{}"] * people,
        )
        record_consents(work, consents)
        set_policy(work, Policy(quiet_from=0, quiet_until=0, caps=()))
        refresh_segment(work, create_segment(work, "everybody", "All", {"identity": {"kind": "member"}}).id)
        save_template(work, "hello", subject="Hi", text="Hello {{ unsubscribe_url }}")
        connect_account(work, channel, "desk", {"path": str(file)}, permission_level="write")
        activate_journey(work, create_journey(work, "hello", "Hello", GRAPH).id)
    runtime.close()
    return Scene(config, people, file)


class Workers:
    """Workers to kill."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.alive: list[int] = []

    def tell(self, word: str) -> int:
        """Start one; the answer is its process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        self.alive.append(int(self._process.stdout.readline()))
        return self.alive[-1]

    def kill(self, pid: int) -> None:
        """Kill -9, and wait until it is gone."""
        self.alive.remove(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            while True:
                os.kill(pid, 0)
                time.sleep(0.002)


@contextlib.contextmanager
def workers(scene: Scene) -> Iterator[Workers]:
    """The warm process; whatever it started is gone at the end."""
    command = [sys.executable, crash_worker.__file__, json.dumps(scene.config)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    found = Workers(process)
    try:
        yield found
    finally:
        for pid in list(found.alive):
            found.kill(pid)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


class Flight:
    """The keys that were being sent in the moments of the kills: only those may have an unknown fate."""

    def __init__(self, scene: Scene) -> None:
        self._engine = sa.create_engine(normalise_url(scene.config["url"]), poolclass=sa.NullPool)
        self._table = Message.__table__
        self.keys: set[str] = set()

    def now(self) -> set[str]:
        """What is in flight; the batch of a sender that was slow may have been taken back from it already."""
        message = self._table.c
        lost = sa.and_(message.state == UNKNOWN, message.reason == SENDER_LOST)
        with self._engine.connect() as connection:
            return set(connection.scalars(sa.select(message.key).where((message.state == SENDING) | lost)))

    def note(self) -> None:
        """Add what is in flight now."""
        self.keys |= self.now()


def kill_often(scene: Scene, kills: int, seed: int) -> tuple[int, set[str]]:
    """Kill one of the workers again and again, then let one finish.

    Answers how many kills met unfinished work, and the keys that were in flight in those moments.
    """
    chance = random.Random(seed)
    met = 0
    flight = Flight(scene)
    with workers(scene) as found:
        for _ in range(WORKERS):
            found.tell("start")
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 0.1))
            found.kill(chance.choice(found.alive))
            flight.note()
            met += not scene.done()
            found.tell("start")
        for pid in list(found.alive):
            found.kill(pid)
        flight.note()
        Path(scene.config["done"]).unlink(missing_ok=True)
        last = found.tell("finish")
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(last, 0)
                time.sleep(0.02)
    assert scene.done(), "the last worker found no end"
    return met, flight.keys


def check(scene: Scene) -> tuple[Counter[str], dict[str, str]]:
    """Everybody took each step once; the answer is what reached the far side, and each message's state by key."""
    runtime = crash_worker.open_worker(scene.config)
    try:
        with runtime.reading(CLIENT) as work:
            enrolled = work.session.execute(sa.select(Enrolment.profile_id, Enrolment.state)).all()
            steps = Counter(work.session.scalars(sa.select(Step.node)))
            messages = dict(work.session.execute(sa.select(Message.key, Message.state)).all())
        nodes = [node["id"] for node in GRAPH["nodes"]]
        assert len({profile for profile, _ in enrolled}) == len(enrolled) == scene.people
        assert {state for _, state in enrolled} == {"finished"}
        assert {nodes[node]: count / scene.people for node, count in steps.items()} == STEPS
        assert len(messages) == scene.people * 1.5
        assert broken(runtime.database.engine) == {}
    finally:
        runtime.close()
    keys = scene.keys()
    assert set(keys) <= set(messages)
    assert max(keys.values()) == 1, "something was sent twice"
    return keys, messages


def survive(url: str, channel: str, kills: int, people: int, folder: Path) -> None:
    """The whole story."""
    scene = make_scene(url, channel, people, folder)
    met, in_flight = kill_often(scene, kills, seed=kills)
    assert met >= kills * 0.8, f"only {met} of {kills} kills met work: give it more people"
    keys, messages = check(scene)
    states = Counter(messages.values())
    if channel == "console":
        assert states == {SENT: len(messages)}
        assert len(keys) == len(messages)
        return
    assert set(states) <= {SENT, UNKNOWN}
    assert {key for key, state in messages.items() if state == SENT} <= set(keys), "a message was lost silently"
    unknown = {key for key, state in messages.items() if state == UNKNOWN}
    assert unknown <= in_flight, "a message is unknown that nobody was sending when a worker died"
    assert states[SENT] > 0, "everything was in flight: give it more people"


CHANNELS = ("console", "recorder")


@pytest.mark.parametrize("channel", CHANNELS)
def test_fifty_kills(own_database_url: str, channel: str, tmp_path: Path) -> None:
    survive(own_database_url, channel, kills=50, people=300, folder=tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("channel", CHANNELS)
def test_five_hundred_kills(own_database_url: str, channel: str, tmp_path: Path) -> None:
    survive(own_database_url, channel, kills=500, people=4000, folder=tmp_path)


@pytest.mark.parametrize("channel", CHANNELS)
def test_whoever_slept_past_its_lease_sends_nothing_twice(own_database_url: str, channel: str, tmp_path: Path) -> None:
    scene = make_scene(own_database_url, channel, 150, tmp_path)
    chance = random.Random(12)
    with workers(scene) as found:
        for _ in range(WORKERS):
            found.tell("start")
        for _ in range(10):
            time.sleep(chance.uniform(0.0, 0.1))
            asleep = chance.choice(found.alive)
            os.kill(asleep, signal.SIGSTOP)
            time.sleep(1.5 * crash_worker.LEASE.total_seconds() / crash_worker.SPEED)
            os.kill(asleep, signal.SIGCONT)
        flight, end = Flight(scene), time.monotonic() + 60
        while not scene.done() or flight.now():
            assert time.monotonic() < end, "somebody who woke up did not tell what became of its messages"
            time.sleep(0.05)
    _, messages = check(scene)
    # Nobody died, so whoever was taken for dead told the outcome when it woke.
    assert set(messages.values()) == {SENT}
