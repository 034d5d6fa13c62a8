"""Fixtures of all GraphQL tests: the application over a migrated database, on both engines, and who asks it.

``world`` holds an agency with the clients ``acme`` and ``bolt`` (plugins, a channel account, three people with facts
each) and a token for every role at the agency and at each client: ``world.gql("operator@acme", query, **variables)``.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from starlette.applications import Starlette
from starlette.testclient import TestClient

import fairlead_ad_law
import fairlead_console
import fairlead_last_touch
import fairlead_linear
import fairlead_weighted
from fairlead.audiences import segments, tags
from fairlead.channels.service import connect_account
from fairlead.clients import members, plugin_sets, tokens
from fairlead.customers.consent import grant
from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.model import Profile
from fairlead.engine.memory import MemoryEngine
from fairlead.facts.ingest import EventColumns, TouchColumns, take_events, take_order_records, take_touches
from fairlead.governance.jobs import create_job
from fairlead.governance.permissions import ROLES
from fairlead.insights.service import ask, attribute
from fairlead.journeys import service as journeys
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.templates import save_template
from fairlead.plugins.contracts.channel import IdentityClaim, OrderLineRecord, OrderRecord
from fairlead.runtime import Fairlead
from fairlead.storage.types import to_millis
from fairlead.testing.fakes import START, FakeClock
from fairlead.work import Work
from fairlead.workflows import register_all
from fairlead_graphql.app import build_app
from fairlead_graphql.ids import to_global

CORE = Path(__file__).resolve().parent.parent / "core"


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up by name while it is being read.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# The databases of the core's tests, and their channel by script.
_core = _load("fairlead_core_fixtures", CORE / "conftest.py")
_channels = _load("fairlead_channel_fixtures", CORE / "channels" / "conftest.py")
sqlite_template = _core.sqlite_template
postgres_server = _core.postgres_server
postgres_template = _core.postgres_template
postgres_shared = _core.postgres_shared
database_url = _core.database_url
own_database_url = _core.own_database_url
own_database_url = _core.own_database_url
keyring = _core.keyring
vault = _core.vault
clock = _core.clock
build_runtime = _core.build_runtime
plugin = _channels.plugin
shop = _channels.shop

CLIENTS = ("acme", "bolt")
PLUGIN_SETS = {"acme": ("shop", "console", "last_touch", "linear", "weighted"), "bolt": ("shop", "console")}
CUSTOM = "auditor"
ROLE_PERMISSIONS: Mapping[str, frozenset[str]] = {
    **ROLES,
    CUSTOM: frozenset({"client:read", "jobs:read", "audit:read", "profiles:reveal"}),
}
"""The permissions of each role: the built-in ones, and a custom one."""


@dataclass
class Statements:
    """SELECT statements that ran, as text."""

    seen: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        """How many."""
        return len(self.seen)


@dataclass
class World:
    """The application and what is in it. Tokens are named ``role`` (agency-wide) and ``role@client``."""

    runtime: Fairlead
    app: Starlette
    http: TestClient
    engine: MemoryEngine
    clock: FakeClock
    agency: int
    clients: dict[str, int]
    members: dict[str, int]
    tokens: dict[str, str]
    token_ids: dict[str, int]
    accounts: dict[str, int]
    profiles: dict[str, list[int]]
    permissions: Mapping[str, frozenset[str]]

    def gql(self, token: str | None, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer: ``data`` and perhaps ``errors``. ``token`` is a name of :attr:`tokens` or a secret."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        body = json.dumps({"query": query, "variables": variables})
        response = self.http.post("/graphql", content=body, headers=headers)
        assert response.status_code in (200, 401), response.text
        answer: dict[str, Any] = response.json()
        return answer

    def data(self, token: str | None, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer that must have no errors at the top."""
        answer = self.gql(token, query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def codes(self, token: str | None, query: str, **variables: Any) -> list[str]:
        """Codes of all refusals: those at the top, then those in payloads."""
        answer = self.gql(token, query, **variables)
        found = [error["extensions"]["code"] for error in answer.get("errors", ())]
        for payload in (answer.get("data") or {}).values():
            if isinstance(payload, dict):
                found += [error["code"] for error in payload.get("errors") or ()]
        return found

    def add_token(self, name: str, *permissions: str) -> str:
        """A member of the agency with a role of exactly these permissions; the name of their token."""
        with self.runtime.agency_work("test") as work:
            members.define_role(work, self.agency, name, frozenset(permissions))
            member = members.add_member(work, self.agency, name, f"{name}@agency.test", role=name)
            self.tokens[name] = tokens.issue_token(work, member.id, name).secret
        return name

    def client_work(self, client: str) -> Any:
        """A writing unit of work at a client, as the program itself."""
        return self.runtime.work(self.clients[client])

    @contextmanager
    def counting(self) -> Iterator[Statements]:
        """The SELECT statements that run in the block, without those that only open a transaction."""
        found = Statements()

        def note(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: bool) -> None:
            if statement.lstrip().upper().startswith(("SELECT", "WITH")) and "set_config(" not in statement:
                found.seen.append(statement)

        event.listen(self.runtime.database.engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            event.remove(self.runtime.database.engine, "before_cursor_execute", note)

    @staticmethod
    def gid(type_name: str, number: int) -> str:
        """The global id of a row."""
        return str(to_global(type_name, number))


@pytest.fixture
def runtime(build_runtime: Callable[..., Fairlead], plugin: Any) -> Fairlead:
    """A runtime with a channel by script and some of the shipped plugins; what changed is seen at once."""
    return build_runtime(
        plugin,
        fairlead_ad_law,
        fairlead_console,
        fairlead_last_touch,
        fairlead_linear,
        fairlead_weighted,
        cache_seconds=0,
    )


@pytest.fixture
def world(runtime: Fairlead, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The application with its data; its engine works when a test calls ``world.engine.run_due()``.

    Requests have ten minutes, so that a busy machine changes no answer.
    """
    monkeypatch.setenv("FAIRLEAD_LIMIT_REQUEST_SECONDS", "600")
    engine = MemoryEngine(now=clock())
    runtime.engine = engine
    register_all(runtime, engine)
    engine.start()
    agency = _core.add_agency(runtime)
    clients = {name: getattr(agency, name) for name in CLIENTS}
    made: dict[str, tuple[int, int, str]] = {}
    with runtime.agency_work("test") as work:
        members.define_role(work, agency.id, CUSTOM, ROLE_PERMISSIONS[CUSTOM])
        for role in ROLE_PERMISSIONS:
            for place in (None, *CLIENTS):
                made[role if place is None else f"{role}@{place}"] = _member(work, agency.id, role, place, clients)
    accounts, profiles = {}, {}
    for name, client_id in clients.items():
        accounts[name], profiles[name] = fill_client(runtime, client_id, name, tmp_path)
    app = build_app(runtime)
    with TestClient(app, base_url="http://localhost") as http:
        yield World(
            runtime,
            app,
            http,
            engine,
            clock,
            agency.id,
            clients,
            {name: member for name, (member, _, _) in made.items()},
            {name: secret for name, (_, _, secret) in made.items()},
            {name: token for name, (_, token, _) in made.items()},
            accounts,
            profiles,
            ROLE_PERMISSIONS,
        )


@pytest.fixture
def gql(world: World) -> Callable[..., dict[str, Any]]:
    """``gql(token, query, **variables)`` gives the whole answer."""
    return world.gql


def _member(work: Work, agency: int, role: str, place: str | None, clients: Mapping[str, int]) -> tuple[int, int, str]:
    name = role if place is None else f"{role} at {place}"
    client = None if place is None else clients[place]
    member = members.add_member(work, agency, name, f"{role}.{place or 'all'}@agency.test", role=role, client_id=client)
    issued = tokens.issue_token(work, member.id, name)
    return member.id, issued.token.id, issued.secret


def fill_client(runtime: Fairlead, client_id: int, name: str, folder: Path) -> tuple[int, list[int]]:
    """Plugins, a connected account and three people with two events, a touch and an order each."""
    with runtime.work(client_id) as work:
        for plugin_name in PLUGIN_SETS[name]:
            plugin_sets.set_plugin(work, runtime.plugins, plugin_name, True)
    with runtime.work(client_id) as work:
        account = connect_account(work, "shop", "main", {"shop": name, "token": f"t0-s3cr3t-{name}"}).id
        connect_account(work, "console", "out", {"path": str(folder / f"{name}.jsonl")}, permission_level="write")
        add_people(work, name, range(3))
    with runtime.reading(client_id) as work:
        return account, list(work.session.scalars(sa.select(Profile.id).order_by(Profile.id)))


GRAPH = {
    "nodes": [
        {"id": "start", "kind": "trigger_segment", "settings": {"segment": "people-0"}},
        {"id": "think", "kind": "wait", "settings": {"hours": 1}},
        {"id": "end", "kind": "exit"},
    ],
    "edges": [{"source": "start", "target": "think"}, {"source": "think", "target": "end"}],
}


def seed_client(runtime: Fairlead, client_id: int, profiles: Sequence[int]) -> None:
    """Three of everything that :func:`fill_client` leaves out: segments, tags, journeys, messages, runs, jobs."""
    everybody = {"identity": {"kind": "email"}}
    with runtime.work(client_id) as work:
        for number in range(3):
            segment = segments.create_segment(work, f"people-{number}", "People", everybody)
            segments.refresh_segment(work, segment.id)
            tag = tags.create_tag(work, f"tag-{number}")
            tags.tag_profiles(work, tag.id, profile_ids=list(profiles))
            journey = journeys.create_journey(work, f"journey-{number}", "Journey", GRAPH)
            journeys.activate_journey(work, journey.id)
            journeys.enrol_profiles(work, journey.id, list(profiles))
            save_template(work, f"hello-{number}", subject="Hi", text="Hello {{ unsubscribe_url }}")
            create_job(work, "test.job", {"number": number})
        grant(work, profiles[0], "marketing", "*", source="test", evidence={})
        keys = [f"message-{profile}" for profile in profiles]
        queue_messages(work, "out", "hello-0", "marketing", np.array(profiles, np.int64), keys)
        mails, members_of = [f"{number}@people.test" for number in range(3)], ["two", "four", "six"]
        link(work, [ClaimColumn("email", mails)], "test")
        link(work, [ClaimColumn("member", members_of)], "test")
        link(work, [ClaimColumn("email", mails), ClaimColumn("member", members_of)], "test")
        for _ in range(3 if "linear" in work.plugins.enabled else 0):
            attribute(work, "linear", {}, ask({}))


@pytest.fixture
def seeded(world: World) -> World:
    """``world`` with three of everything at both clients."""
    for name, client_id in world.clients.items():
        seed_client(world.runtime, client_id, world.profiles[name])
    return world


def add_people(work: Work, prefix: str, numbers: Sequence[int]) -> None:
    """People with an e-mail address and a phone, two events, a touch and an order (two lines) each."""
    emails = [f"{prefix}{number}@people.test" for number in numbers]
    phones = [f"+86138{(1 if prefix == 'acme' else 2)}{number:07d}" for number in numbers]
    at = [to_millis(START) - (1 + index) * 3_600_000 for index in range(len(numbers))]
    for kind in ("view", "cart"):
        rows = EventColumns(
            [f"{prefix}-{kind}-{number}" for number in numbers],
            [kind] * len(emails),
            ["shop"] * len(emails),
            at,
            [ClaimColumn("email", emails), ClaimColumn("phone", phones)],
            items=[f"item-{number}" for number in numbers],
        )
        take_events(work, "test", rows)
    touches = TouchColumns(
        [f"{prefix}-touch-{number}" for number in numbers],
        ["click"] * len(emails),
        ["ads"] * len(emails),
        [instant - 60_000 for instant in at],
        [ClaimColumn("email", emails)],
    )
    take_touches(work, "test", touches)
    records = [
        OrderRecord(
            f"{prefix}-order-{number}",
            START,
            START,
            "paid",
            "CNY",
            1000 + number,
            paid_amount=1000 + number,
            paid_at=START,
            identities=[IdentityClaim("email", email)],
            lines=[OrderLineRecord("sku-1", "One", 1, 500), OrderLineRecord("sku-2", "Two", 1, 500 + number)],
        )
        for number, email in zip(numbers, emails, strict=True)
    ]
    take_order_records(work, "shop", records)
