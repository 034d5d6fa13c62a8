"""A small schema with everything the door has to hold: pages, cycles of lists, mutations, streams, failures."""

from __future__ import annotations

import asyncio
import enum
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry
import structlog
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Scope
from strawberry.dataloader import DataLoader

from fairlead.errors import Forbidden, InvalidInput, Refusals, Unauthenticated
from fairlead_graphql.door import ANONYMOUS, Cost, DoorSchema, GraphQLDoor, Limits, TrustedDocuments, middleware

SECRET = "secret-of-the-server-13800138000"


@dataclass(frozen=True)
class Caller:
    key: str


@dataclass
class Context:
    principal: Any
    entered: int = 0
    loader: Any = None


@strawberry.input
class PhoneInput:
    phone: int
    labels: list[str] | None = None


@strawberry.input
class RuleInput:
    name: str | None = None
    every: list[RuleInput] | None = None


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"


@strawberry.type
class PageInfo:
    has_next_page: bool = False


@strawberry.type
class Person:
    id: strawberry.ID
    name: str

    @strawberry.field
    def friends(self, first: int | None = None, last: int | None = None) -> PersonConnection:
        return page(first or last or 20)

    @strawberry.field
    def tags(self) -> list[Tag]:
        return [Tag(name="a", person=self)]

    @strawberry.field(directives=[Cost(weight=50)])
    def score(self) -> int:
        return 7

    @strawberry.field
    def thread(self) -> str:
        return threading.current_thread().name

    @strawberry.field
    def blocks(self) -> str:
        WORLD.started.release()
        WORLD.release.wait(20)
        return "done"

    @strawberry.field
    async def loaded(self, info: strawberry.Info) -> str:
        return await info.context.loader.load(self.id)


@strawberry.type
class Tag:
    name: str
    person: Person


@strawberry.type
class PersonEdge:
    cursor: str
    node: Person


@strawberry.type
class PersonConnection:
    edges: list[PersonEdge]
    nodes: list[Person]
    page_info: PageInfo
    total_count: int = 3


def page(size: int) -> PersonConnection:
    people = [Person(id=strawberry.ID(str(i)), name=f"p{i}") for i in range(min(size, 3))]
    edges = [PersonEdge(cursor=str(person.id), node=person) for person in people]
    return PersonConnection(edges=edges, nodes=people, page_info=PageInfo())


@dataclass
class World:
    """What the resolvers did, and switches the tests turn."""

    written: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    revoked: set[str] = field(default_factory=set)
    contexts: list[Context] = field(default_factory=list)
    left: int = 0
    stream_closed: int = 0


WORLD = World()


@strawberry.type
class Query:
    @strawberry.field
    def health(self) -> str:
        return "ok"

    @strawberry.field
    def people(self, first: int | None = None, last: int | None = None) -> PersonConnection:
        return page(first or last or 20)

    @strawberry.field
    def everybody(self) -> list[Person]:
        return page(3).nodes

    @strawberry.field
    def echo(self, text: str = "", number: int = 0) -> str:
        return text or str(number)

    @strawberry.field
    def broken(self) -> str:
        raise RuntimeError(SECRET)

    @strawberry.field
    def misfit(self) -> int:
        return 99_999_999_999

    @strawberry.field
    def refused(self) -> str | None:
        raise Forbidden("You may not.", path=["input", 0], next_step="Ask an admin.")

    @strawberry.field
    def refusals(self) -> str | None:
        raise Refusals([InvalidInput("One.", path=["a"]), InvalidInput("Two.", path=["b"])])

    @strawberry.field
    def check(self, input: PhoneInput | None = None, colour: Colour | None = None) -> str:
        return "fine"

    @strawberry.field
    def rule(self, rule: RuleInput) -> str:
        return "fine"

    @strawberry.field
    def where(self) -> str:
        return threading.current_thread().name

    @strawberry.field
    def slow(self) -> str:
        WORLD.started.release()
        WORLD.release.wait(20)
        return "done"

    @strawberry.field
    async def slow_async(self) -> str:
        WORLD.started.release()
        await asyncio.sleep(60)
        return "done"

    @strawberry.field
    def big(self, kib: int = 1) -> str:
        return "x" * (kib * 1024)

    @strawberry.field
    def poisoned(self) -> str:
        return "bad \ud800 row"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def write(self, text: str) -> str:
        WORLD.written.append(text)
        return text


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, count: int = 2, pause: float = 0.0) -> AsyncGenerator[int, None]:
        try:
            for number in range(count):
                yield number
                await asyncio.sleep(pause)
        finally:
            WORLD.stream_closed += 1

    @strawberry.subscription
    async def persons(self, count: int = 2) -> AsyncGenerator[Person, None]:
        for number in range(count):
            yield Person(id=strawberry.ID(str(number)), name="x")

    @strawberry.subscription
    async def fails(self) -> AsyncGenerator[int, None]:
        yield 1
        raise RuntimeError(SECRET)


async def load_names(keys: list[str]) -> list[str]:
    return [f"loaded {key}" for key in keys]


class ContextManager:
    def __init__(self, principal: Any) -> None:
        self.context = Context(principal)

    def __enter__(self) -> Context:
        self.context.loader = DataLoader(load_names)
        WORLD.contexts.append(self.context)
        return self.context

    def __exit__(self, *_: object) -> None:
        WORLD.left += 1


def authenticate(scope: Scope, payload: Mapping[str, Any] | None) -> Any:
    token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
    if payload is not None:
        token = payload.get("token", "") if isinstance(payload.get("token", ""), str) else "?"
    if not token:
        return ANONYMOUS
    if token == "none":
        return None
    if token == "crash":
        raise RuntimeError(SECRET)
    if not token.startswith("good"):
        raise Unauthenticated("The token is not known.")
    return Caller(token)


def still_valid(principal: Any) -> bool:
    return principal.key not in WORLD.revoked


PUBLIC = ["Query.health", "Query.people", "Mutation.write"]


@pytest.fixture(autouse=True)
def world() -> Iterator[World]:
    WORLD.__dict__.update(World().__dict__)
    yield WORLD
    WORLD.release.set()


@pytest.fixture
def make_schema() -> Callable[..., DoorSchema]:
    def make(limits: Limits | None = None, **kwargs: Any) -> DoorSchema:
        kwargs.setdefault("public_fields", ["Query.health"])
        return DoorSchema(Query, Mutation, Subscription, limits=limits, **kwargs)

    return make


@pytest.fixture
def make_client(make_schema: Callable[..., DoorSchema]) -> Iterator[Callable[..., Door]]:
    opened: list[Door] = []

    def make(
        limits: Limits | None = None,
        schema: DoorSchema | None = None,
        trusted: TrustedDocuments | None = None,
        **kwargs: Any,
    ) -> Door:
        found = Door(schema or make_schema(limits), trusted, kwargs)
        opened.append(found)
        return found

    yield make
    WORLD.release.set()
    for each in opened:
        each.close()


class Door:
    """The application over HTTP, with short ways to ask it."""

    def __init__(self, schema: DoorSchema, trusted: TrustedDocuments | None, kwargs: dict[str, Any]) -> None:
        self.schema = schema
        kwargs.setdefault("authenticate", authenticate)
        kwargs.setdefault("still_valid", still_valid)
        kwargs.setdefault("make_context", lambda principal, request, response: ContextManager(principal))
        self.door = GraphQLDoor(schema, trusted=trusted, **kwargs)
        self.app = Starlette(routes=[Mount("/graphql", self.door)], middleware=middleware())
        self.app.router.redirect_slashes = False
        self.client = TestClient(self.app, raise_server_exceptions=True)
        self.client.__enter__()

    def close(self) -> None:
        self.client.__exit__(None, None, None)
        self.door.pool.close()

    def post(self, content: bytes | str, token: str = "good", **headers: str) -> Any:
        sent = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return self.client.post("/graphql/", content=content, headers=sent)

    def ask(self, query: str | None, token: str = "good", **body: Any) -> dict[str, Any]:
        response = self.post(json.dumps({"query": query, **body}), token)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def codes(self, query: str | None, token: str = "good", **body: Any) -> list[str]:
        return [error["extensions"]["code"] for error in self.ask(query, token, **body).get("errors", ())]


@pytest.fixture
def door(make_client: Callable[..., Door]) -> Door:
    return make_client()


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Poll for a state that other threads bring about."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def logged(caplog):
    """Everything logged so far as one text: by structlog, then by the standard library."""
    with structlog.testing.capture_logs() as entries:
        yield lambda: json.dumps(entries, default=str) + caplog.text
