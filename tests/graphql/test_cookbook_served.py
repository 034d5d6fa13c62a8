"""``fairlead serve`` answers the cookbook: every recipe, in order, over the wire, with the real engine behind it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import sqlalchemy as sa

from fairlead.demo.clock import START
from fairlead.demo.sample_shop import SHOP
from fairlead.governance.model import Job
from fairlead.journeys.model import Enrolment
from fairlead.messaging.model import QUEUED, SENDING, Message
from fairlead.runtime import Fairlead, open_runtime
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.crypto import Keyring
from fairlead_graphql.cookbook.recipes import cook, read_recipes
from fairlead_graphql.cookbook.shop import event_lines, fill
from support import moved_clock
from support.webdriver import free_port

RECIPES = Path(__file__).resolve().parents[2] / "docs" / "cookbook"


class Served:
    """The shop that the recipes are asked of, behind the network."""

    def __init__(self, url: str, runtime: Fairlead, clock: Path, tokens: Mapping[str, str]) -> None:
        self._url, self._runtime, self._clock, self._tokens = url, runtime, clock, tokens

    def ask(self, who: str, body: Mapping[str, Any], *, events: bool = False) -> list[Any]:
        """The answer to one request in a list; with ``events`` every event of a subscription."""
        headers = {
            "Authorization": f"Bearer {self._tokens[who]}",
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if events else "application/json",
        }
        response = httpx2.post(f"{self._url}/graphql", content=orjson.dumps(body), headers=headers, timeout=60)
        if not events:
            return [response.json()]
        blocks = [dict(event_lines(block)) for block in response.text.replace("\r\n", "\n").split("\n\n")]
        return [orjson.loads(block["data"]) for block in blocks if block.get("event") == "next"]

    def live(self, hours: float) -> None:
        """Move the clock on, and wait until the workers have done what is due then."""
        moved_clock.move_clock(self._clock, hours=hours)
        end = time.monotonic() + 120
        while self._is_busy():
            assert time.monotonic() < end, "the work that was due is not done"
            time.sleep(0.2)

    def _is_busy(self) -> bool:
        open_jobs = sa.select(Job.id).where(Job.state.in_(("queued", "running")))
        with self._runtime.reading(SHOP) as work:
            moving = sa.select(Enrolment.id).where(Enrolment.state == "active", Enrolment.due_at <= work.now)
            leaving = sa.select(Message.id).where(
                (Message.state == SENDING) | ((Message.state == QUEUED) & (Message.due_at <= work.now))
            )
            return any(work.session.scalar(rows.limit(1)) is not None for rows in (open_jobs, moving, leaving))


@pytest.fixture
def shop(own_database_url: str, tmp_path: Path) -> Iterator[Served]:
    """The cookbook's shop, served: by one process on SQLite, by ``serve`` and ``worker`` on PostgreSQL."""
    keys, clock, port = tmp_path / "keys", tmp_path / "clock", free_port()
    Keyring.from_file(keys)
    moved_clock.set_clock(clock, START)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")} | {
        "FAIRLEAD_DATABASE_URL": own_database_url,
        "FAIRLEAD_KEY_FILE": str(keys),
        "FAIRLEAD_CONSOLE_FOLDER": str(tmp_path),
        "FAIRLEAD_TRUSTED_DOCUMENTS": str(RECIPES),
        "FAIRLEAD_LIMIT_REQUEST_SECONDS": "60",
    }
    settings = Settings(database_url=own_database_url, key_file=keys)
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRLEAD_CONSOLE_FOLDER", str(tmp_path))
        runtime = stack.enter_context(open_runtime(settings, clock=moved_clock.clock_of(clock)))
        migrate.upgrade(runtime.database, runtime.plugins.migrations())
        tokens = fill(runtime, tmp_path)
        words = [["serve", "--port", str(port)]] + ([] if settings.database_file else [["worker"]])
        for command in words:
            line = [sys.executable, moved_clock.__file__, str(clock), *command]
            log = stack.enter_context((tmp_path / f"{command[0]}.log").open("wb"))
            process = subprocess.Popen(line, env=environment, stdout=log, stderr=log)
            stack.callback(_end, process)
        url = f"http://127.0.0.1:{port}"
        _wait(lambda: httpx2.get(f"{url}/readyz").json()["ready"], tmp_path / "serve.log")
        yield Served(url, runtime, clock, tokens)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(60)


def _wait(ready: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(httpx2.HTTPError):
            if ready():
                return
        assert time.monotonic() < end, log.read_text("utf-8")[-2000:]
        time.sleep(0.1)


def test_every_recipe_is_answered(shop: Any) -> None:
    recipes = read_recipes(RECIPES)
    cooked = list(cook(recipes, shop))
    assert [one.recipe.name for one in cooked] == [recipe.name for recipe in recipes]
    assert all(one.answers for one in cooked)
