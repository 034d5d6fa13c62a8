"""The client that the cookbook's recipes are run against: the generated sample with few people, under a still clock.

Everything in it is the same at every run (ids, times, counts), except what must be random: the secrets of tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson

from fairlead.channels.service import connect_account
from fairlead.clients.members import add_member
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_agency, create_client
from fairlead.clients.tokens import issue_token
from fairlead.customers.blocking import block_identity
from fairlead.customers.imports import import_file, parse_mapping
from fairlead.demo.clock import DemoClock
from fairlead.demo.sample import write_sample
from fairlead.demo.sample_shop import BRAND, BRAND_PLUGINS, MAPPINGS, SHOP, SHOP_PLUGINS
from fairlead.engine.memory import MemoryEngine
from fairlead.journeys.workflows import enqueue_advance
from fairlead.plugins.discovery import installed
from fairlead.plugins.manager import Plugins
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.crypto import Keyring, Vault
from fairlead.storage.database import Database
from fairlead.workflows import register_all
from fairlead_graphql.app import build_app

PEOPLE, SEED = 70, 20261121
HOST = "http://127.0.0.1:8000"
ROLES = {"admin": None, "operator": SHOP, "analyst": SHOP}
"""Who asks: the name of a token, which is also its role, and where; ``None`` is the whole agency."""

# Not random on purpose: with them the sample is linked in the same order, and so gets the same ids, at every run.
_KEYS = Keyring("docs", {"docs": bytes(range(32))}, bytes(range(32, 64)))


class _Unscheduled(MemoryEngine):
    """Runs what is asked for and has no schedules: thousands of ticks of a still clock would only cost time."""

    def schedule(self, name: str, cron: str, zone: str = "UTC", queue: str = "default") -> None:
        """Nothing: :meth:`Shop.live` asks for the work of an hour itself."""


class Shop:
    """The application over the filled database, asked like any client asks it: by HTTP requests with a token."""

    def __init__(self, runtime: Fairlead, engine: MemoryEngine, clock: DemoClock, tokens: Mapping[str, str]) -> None:
        self._runtime, self._engine, self._clock, self._tokens = runtime, engine, clock, tokens
        self._app = build_app(runtime)
        self._runner = asyncio.Runner()

    def ask(self, who: str, body: Mapping[str, Any], *, events: bool = False) -> list[Any]:
        """The answer to one request as ``who``, in a list; with ``events`` every event of a subscription."""
        return self._runner.run(self._send(who, body, events))

    def live(self, hours: float) -> None:
        """Let the clock move on, an hour at a time, and let the background work of each happen."""
        while True:
            enqueue_advance(self._engine, self._runtime.client(SHOP).id)
            self._engine.run_due(self._clock())
            if hours <= 0:
                return
            step = min(1.0, hours)
            self._clock.move(hours=step)
            hours -= step

    def close(self) -> None:
        """Stop the application's threads."""
        self._app.state.door.pool.close()
        self._runner.close()

    async def _send(self, who: str, body: Mapping[str, Any], events: bool) -> list[Any]:
        headers = {
            "Authorization": f"Bearer {self._tokens[who]}",
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if events else "application/json",
        }
        transport = httpx2.ASGITransport(self._app, client=("127.0.0.1", 50000))
        async with httpx2.AsyncClient(transport=transport, base_url=HOST) as http:
            response = await http.post("/graphql", content=orjson.dumps(body), headers=headers)
        if not events:
            return [response.json()]
        blocks = [dict(event_lines(block)) for block in response.text.replace("\r\n", "\n").split("\n\n")]
        return [orjson.loads(block["data"]) for block in blocks if block.get("event") == "next"]


@contextmanager
def open_shop(folder: Path, trusted: Path | None = None) -> Iterator[Shop]:
    """The cookbook's client in ``folder``, filled; ``trusted`` is a manifest of trusted documents."""
    url = f"sqlite:///{folder / 'cookbook.db'}"
    settings = Settings(database_url=url, cache_seconds=0, trusted_documents=trusted, public_url=HOST)
    plugins = Plugins([source for source in installed() if source.distribution == "fairlead"], policy="strict")
    database = Database(url)
    migrate.upgrade(database, plugins.migrations())
    clock = DemoClock()
    runtime = Fairlead(settings, database, Vault(_KEYS), plugins, clock=clock)
    engine = _Unscheduled(now=clock())
    runtime.engine = engine
    register_all(runtime, engine)
    engine.start()
    with contextlib.closing(runtime), _console_folder(folder):
        shop = Shop(runtime, engine, clock, fill(runtime, folder))
        with contextlib.closing(shop):
            yield shop


@contextmanager
def _console_folder(folder: Path) -> Iterator[None]:
    """The console channel may write in ``folder``, as an operator would allow it."""
    before = os.environ.get("FAIRLEAD_CONSOLE_FOLDER")
    os.environ["FAIRLEAD_CONSOLE_FOLDER"] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["FAIRLEAD_CONSOLE_FOLDER"]
        else:
            os.environ["FAIRLEAD_CONSOLE_FOLDER"] = before


def fill(runtime: Fairlead, folder: Path) -> dict[str, str]:
    """Two clients, a member and a token per role, and the sample's files imported for the first client."""
    tokens: dict[str, str] = {}
    with runtime.agency_work("cookbook") as work:
        agency = create_agency(work, "demo", "Demo agency")
        places = {
            SHOP: create_client(work, agency.id, SHOP, "明前茶铺", zone="Asia/Shanghai", currency="CNY").id,
            BRAND: create_client(work, agency.id, BRAND, "Northwind", zone="Europe/London", currency="GBP").id,
        }
        for role, place in ROLES.items():
            where = None if place is None else places[place]
            address = f"{role}@agency.example"
            member = add_member(work, agency.id, role.capitalize(), address, role=role, client_id=where)
            tokens[role] = issue_token(work, member.id, f"cookbook {role}").secret
    for slug, names in ((SHOP, SHOP_PLUGINS), (BRAND, BRAND_PLUGINS)):
        with runtime.work(places[slug]) as work:
            for name in names:
                set_plugin(work, runtime.plugins, name, True)
    sample = write_sample(folder / "sample", people=PEOPLE, seed=SEED)
    with runtime.work(places[SHOP]) as work:
        block_identity(work, "phone", sample.shop_phone, "the shop's own number")
    for name, mapping in MAPPINGS.items():
        import_file(runtime, SHOP, folder / "sample" / name, parse_mapping(mapping), lambda _done, _total: None)
    # A channel that writes to a file: the journey sends, and nothing leaves this machine.
    with runtime.work(places[SHOP]) as work:
        settings = {"path": str(folder.resolve() / "messages.jsonl")}
        connect_account(work, "console", "outbox", settings, platform="file", permission_level="write")
    return tokens


def event_lines(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, _, value = line.partition(":")
        yield name, value.lstrip()
