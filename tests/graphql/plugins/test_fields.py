"""What plugins add to the schema: gated at run time, and refused at start-up where it could never answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import strawberry
from starlette.testclient import TestClient

from fairlead.clients import plugin_sets
from fairlead.plugins import hookimpl
from fairlead.plugins.manager import Plugins
from fairlead_graphql.app import build_app
from fairlead_graphql.plugin_fields import FieldClash, plugin_targets
from fairlead_graphql.policy import FIELDS
from fairlead_graphql.schema import build_schema

Additions = Callable[[Any], object]


class Adding:
    """A plugin that adds what a test says."""

    name = "adding"

    def __init__(self, add: Additions) -> None:
        self.add = add

    @hookimpl
    def fairlead_graphql(self, register: Any) -> None:
        self.add(register)


@pytest.fixture(autouse=True)
def core_types() -> Iterator[None]:
    """The core's types as they were, since plugins change them for the length of a process."""
    kept = {name: list(target.fields) for name, target in plugin_targets().items()}
    permissions = dict(FIELDS)
    yield
    for name, target in plugin_targets().items():
        target.fields[:] = kept[name]
    FIELDS.clear()
    FIELDS.update(permissions)


@pytest.fixture
def with_plugin(world: Any) -> Iterator[Callable[[Additions], Callable[..., Any]]]:
    """``with_plugin(add)`` serves the application with that plugin, on for acme alone, and gives ``ask``."""
    opened: list[TestClient] = []

    def serve(add: Additions) -> Callable[..., Any]:
        runtime = world.runtime
        runtime.plugins = Plugins.for_tests(Adding(add))
        with world.client_work("acme") as work:
            plugin_sets.set_plugin(work, runtime.plugins, "adding", True)
        http = TestClient(build_app(runtime), base_url="http://localhost")
        opened.append(http)

        def ask(token: str, query: str) -> Any:
            headers = {"Authorization": f"Bearer {world.tokens[token]}", "Content-Type": "application/json"}
            return http.post("/graphql", content=json.dumps({"query": query}), headers=headers).json()

        return ask

    yield serve
    for http in opened:
        http.close()


def codes(answer: Any) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", ())]


def greeting(client: str) -> str:
    return f"hello {client}"


def size(root: strawberry.Parent[Any]) -> int:
    return int(root.client_id > 0)


def test_a_root_field_needs_no_info(with_plugin: Any) -> None:
    field = strawberry.field(resolver=greeting, description="A greeting.")
    ask = with_plugin(lambda register: register.field_on("Query", "greeting", field, permission="client:read"))
    assert ask("analyst@acme", '{ greeting(client: "acme") }')["data"] == {"greeting": "hello acme"}
    assert codes(ask("analyst@bolt", '{ greeting(client: "acme") }')) == ["NOT_FOUND"]
    assert codes(ask("admin", '{ greeting(client: "bolt") }')) == ["PLUGIN_OFF"]


def test_a_field_of_a_core_type_is_gated_too(with_plugin: Any) -> None:
    field = strawberry.field(resolver=size, description="A size.")
    ask = with_plugin(lambda register: register.field_on("Profile", "size", field, permission="audit:read"))
    query = '{ client(slug: "%s") { profiles(first: 1) { nodes { size } } } }'
    assert ask("admin", query % "acme")["data"]["client"]["profiles"]["nodes"] == [{"size": 1}]
    assert codes(ask("analyst@acme", query % "acme")) == ["FORBIDDEN"]
    assert codes(ask("admin", query % "bolt")) == ["PLUGIN_OFF"]


def test_each_client_of_a_list_has_its_own_value(with_plugin: Any, world: Any) -> None:
    def add(register: Any) -> None:
        register.batch_field(
            "Client",
            "number",
            lambda work, numbers: {number: number for number in numbers if number == work.client_id},
            returns=int,
            description="Its number.",
            permission="client:read",
        )

    ask = with_plugin(add)
    with world.client_work("bolt") as work:
        plugin_sets.set_plugin(work, world.runtime.plugins, "adding", True)
    nodes = ask("admin", "{ clients { nodes { slug number } } }")["data"]["clients"]["nodes"]
    assert {node["slug"]: node["number"] for node in nodes} == world.clients


def nowhere() -> str:
    return ""


def anywhere(client: str | None = None) -> str:
    return client or ""


def numbered(client: int) -> int:
    return client


@pytest.mark.parametrize("resolver", [nowhere, anywhere, numbered], ids=lambda one: one.__name__)
def test_a_root_field_must_say_for_which_client(resolver: Any) -> None:
    field = strawberry.field(resolver=resolver, description="Nothing.")
    plugin = Adding(lambda register: register.field_on("Query", "nothing", field, permission="client:read"))
    with pytest.raises(FieldClash, match=r"Query\.nothing of plugin 'adding' needs the argument `client: str`"):
        build_schema(Plugins.for_tests(plugin))


def test_what_could_never_answer_is_refused_at_start_up() -> None:
    more = {"returns": int, "description": "Nothing.", "permission": "client:read"}
    for type_name, says in (("Query", r"use field_on\(\)"), ("Order", "none of Client, Profile, Query")):
        plugin = Adding(lambda register, name=type_name: register.batch_field(name, "nothing", dict, **more))
        with pytest.raises(FieldClash, match=says):
            build_schema(Plugins.for_tests(plugin))
    bare = strawberry.field(description="Nothing.")
    plugin = Adding(lambda register: register.field_on("Client", "nothing", bare, permission="client:read"))
    with pytest.raises(FieldClash, match="has no resolver"):
        build_schema(Plugins.for_tests(plugin))
