"""Whatever is wrong with a graph is told before anybody enters it, all at once, each with its node."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import Conflict, Refusals
from fairlead.journeys.graph import parse_graph
from fairlead.journeys.service import create_journey, save_version

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is the same on every engine."""
GOOD: dict[str, Any] = {
    "nodes": [
        {"id": "start", "kind": "trigger_manual"},
        {"id": "think", "kind": "wait", "settings": {"hours": 1}},
        {"id": "mail", "kind": "condition", "settings": {"rule": {"identity": {"kind": "email"}}}},
        {"id": "hello", "kind": "send", "settings": {"account": "desk", "template": "hello"}},
        {"id": "end", "kind": "exit"},
    ],
    "edges": [
        {"source": "start", "target": "think"},
        {"source": "think", "target": "mail"},
        {"source": "mail", "outlet": "yes", "target": "hello"},
        {"source": "mail", "outlet": "no", "target": "end"},
        {"source": "hello", "target": "end"},
    ],
}
Change = Callable[[dict[str, Any]], Any]


def settings(node: int, **values: Any) -> Change:
    return lambda graph: graph["nodes"][node].__setitem__("settings", values)


def quick_loop(graph: dict[str, Any]) -> None:
    graph["edges"][4] = {"source": "hello", "target": "mail"}


def goal_loop(graph: dict[str, Any]) -> None:
    rule = {"identity": {"kind": "email"}}
    graph["nodes"][3] = {"id": "hello", "kind": "goal", "settings": {"rule": rule}}
    graph["edges"][4:] = [
        {"source": "hello", "outlet": "reached", "target": "mail"},
        {"source": "hello", "outlet": "missed", "target": "end"},
    ]


WRONG: dict[str, tuple[Change, tuple[Any, ...], str]] = {
    "two of one name": (lambda g: g["nodes"][4].update(id="mail"), ("graph", "nodes", "mail"), "two nodes"),
    "no trigger": (lambda g: g["nodes"][0].update(kind="exit"), ("graph",), "no trigger"),
    "two triggers": (lambda g: g["nodes"][1].update(kind="trigger_manual"), ("graph", "nodes", "think"), "one"),
    "edge to nowhere": (lambda g: g["edges"][0].update(target="moon"), ("graph", "edges", 0), "'moon'"),
    "edge from nowhere": (lambda g: g["edges"][1].update(source="moon"), ("graph", "edges", 1), "'moon'"),
    "into the trigger": (lambda g: g["edges"][4].update(target="start"), ("graph", "edges", 4), "trigger"),
    "unknown kind": (lambda g: g["nodes"][1].update(kind="teleport"), ("graph", "nodes", "think", "kind"), "teleport"),
    "no wait": (settings(1), ("graph", "nodes", "think", "settings"), "minutes"),
    "negative wait": (settings(1, hours=-1), ("graph", "nodes", "think", "settings", "hours"), "greater"),
    "strange setting": (settings(1, hours=1, speed=2), ("graph", "nodes", "think", "settings", "speed"), "permitted"),
    "no such account": (
        settings(3, account="fax", template="hello"), ("graph", "nodes", "hello", "settings", "account"), "fax",
    ),
    "no such template": (
        settings(3, account="desk", template="bye"), ("graph", "nodes", "hello", "settings", "template"), "bye",
    ),
    "no such purpose": (
        settings(3, account="desk", template="hello", purpose="spam"),
        ("graph", "nodes", "hello", "settings", "purpose"), "marketing",
    ),
    "unknown outlet": (lambda g: g["edges"][2].update(outlet="maybe"), ("graph", "nodes", "mail"), "maybe"),
    "missing outlet": (lambda g: g["edges"].pop(3), ("graph", "nodes", "mail"), "'no'"),
    "after the end": (
        lambda g: g["edges"].append({"source": "end", "target": "mail"}), ("graph", "nodes", "end"), "no outlet",
    ),
    "out of reach": (
        lambda g: g["nodes"].append({"id": "island", "kind": "exit"}), ("graph", "nodes", "island"), "reach",
    ),
    "loop without a wait": (quick_loop, ("graph", "nodes", "mail"), "never waits"),
    "loop by a goal": (goal_loop, ("graph", "nodes", "mail"), "never waits"),
}  # fmt: skip


@pytest.fixture
def made(shop: Callable[..., Any]) -> Any:
    """A client with an account and a template."""
    return shop(1)


@ON_SQLITE
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(made: Any, name: str) -> None:
    change, path, says = WRONG[name]
    graph = copy.deepcopy(GOOD)
    change(graph)
    with made.runtime.work(made.client) as work, pytest.raises(Refusals) as refused:
        create_journey(work, "x", "X", graph)
    found = [(error.path, error.message) for error in refused.value.errors]
    assert [message for place, message in found if place == path and says in message], found


def test_rules_and_segments_are_looked_up(made: Any) -> None:
    graph = copy.deepcopy(GOOD)
    graph["nodes"][0] = {"id": "start", "kind": "trigger_segment", "settings": {"segment": "nobody"}}
    graph["nodes"][2]["settings"] = {"rule": {"segment": {"name": "ghosts"}}}
    with made.runtime.work(made.client) as work, pytest.raises(Refusals) as refused:
        create_journey(work, "x", "X", graph)
    places = {error.path[2] for error in refused.value.errors}
    assert places == {"start", "mail"}


def test_everything_is_told_at_once(made: Any) -> None:
    graph = copy.deepcopy(GOOD)
    for change in (settings(1), settings(3, account="fax", template="bye")):
        change(graph)
    with made.runtime.work(made.client) as work, pytest.raises(Refusals) as refused:
        create_journey(work, "x", "X", graph)
    assert {error.path[2] for error in refused.value.errors} == {"think", "hello"}


def test_a_version_is_what_was_checked_and_never_changes(made: Any) -> None:
    with made.runtime.work(made.client) as work:
        journey = create_journey(work, "x", "X", GOOD)
        other = copy.deepcopy(GOOD)
        other["nodes"][1]["settings"] = {"hours": 2}
        version = save_version(work, journey.id, other)
        again = save_version(work, journey.id, GOOD)
        assert (version.number, again.number) == (2, 3)
        assert version.digest != again.digest == parse_graph(GOOD).digest()
        with pytest.raises(Conflict):
            create_journey(work, "x", "again", GOOD)


NAMES = st.sampled_from(["nodes", "edges", "id", "kind", "source", "target", "reentry"])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(junk=JUNK)
def test_junk_is_refused_and_never_crashes(junk: Any) -> None:
    try:
        parse_graph(junk)
    except Refusals as refused:
        if not refused.errors or any(error.path[0] != "graph" for error in refused.errors):
            raise
