"""What is wrong with a graph, before it becomes a version: each finding names its node and the next step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from fairlead.audiences.checks import check_rule
from fairlead.audiences.rules import Rule, parse_rule
from fairlead.channels.service import find_account
from fairlead.errors import DomainError, InvalidInput, Refusals, Verbatim
from fairlead.journeys.graph import Graph
from fairlead.journeys.nodes import (
    TRIGGERS,
    ConditionSettings,
    GoalSettings,
    SegmentTriggerSettings,
    SendSettings,
    find_node,
)
from fairlead.messaging.templates import find_template
from fairlead.plugins.contracts.journey_node import JourneyNode
from fairlead.plugins.manifest import Capability
from fairlead.work import Work


def check_graph(work: Work, graph: Graph) -> None:
    """Raise :class:`Refusals` with everything that is wrong: unknown nodes, bad settings, dangling edges, missing
    outlets, unreachable nodes, loops that never wait, templates, accounts, segments that do not exist."""
    problems = list(_structure(graph))
    if problems:
        raise Refusals(problems)
    nodes: dict[int, tuple[JourneyNode, Any]] = {}
    for at, part in enumerate(graph.nodes):
        try:
            node = find_node(work, part.kind)
            nodes[at] = (node, _settings(node, part.settings, part.id))
        except Refusals as error:
            problems.extend(error.errors)
        except DomainError as error:
            error.path = ("graph", "nodes", Verbatim(part.id), "kind")
            problems.append(error)
    for at, (node, settings) in nodes.items():
        part = graph.nodes[at]
        problems.extend(_at(part.id, _references(work, settings)))
        problems.extend(_outlets(graph, at, node.outlets(settings)))
    problems.extend(_reach(graph))
    problems.extend(_loops(graph))
    if problems:
        raise Refusals(problems)


def _structure(graph: Graph) -> Iterator[DomainError]:
    seen: set[str] = set()
    for part in graph.nodes:
        if part.id in seen:
            yield InvalidInput(
                f"two nodes are called {part.id!r}", path=("graph", "nodes", Verbatim(part.id)), next_step="rename one"
            )
        seen.add(part.id)
    triggers = [part.id for part in graph.nodes if part.kind in TRIGGERS]
    if not triggers:
        yield InvalidInput("the journey has no trigger", path=("graph",), next_step=f"add one of {', '.join(TRIGGERS)}")
    for extra in triggers[1:]:
        yield InvalidInput(
            "a journey has one trigger", path=("graph", "nodes", Verbatim(extra)), next_step="remove this one"
        )
    for number, edge in enumerate(graph.edges):
        for end in (edge.source, edge.target):
            if end not in seen:
                yield InvalidInput(
                    f"there is no node {end!r}", path=("graph", "edges", number), next_step="mend the edge"
                )
        if edge.target in triggers:
            yield InvalidInput(
                "no edge leads into a trigger", path=("graph", "edges", number), next_step="point it elsewhere"
            )


def _settings(node: JourneyNode, data: dict[str, Any], node_id: str) -> BaseModel:
    try:
        return node.manifest.settings.model_validate(data)
    except Refusals as error:
        # A rule in the settings refuses by itself, with paths into the rule.
        raise Refusals(_at(node_id, (_below("rule", one) for one in error.errors))) from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise Refusals(_at(node_id, (InvalidInput(part["msg"], path=part["loc"]) for part in found))) from None


def _references(work: Work, settings: Any) -> Iterator[DomainError]:
    try:
        if isinstance(settings, ConditionSettings | GoalSettings):
            yield from _unfit(work, settings.parsed(), "rule")
        elif isinstance(settings, SegmentTriggerSettings):
            yield from _unfit(work, parse_rule({"segment": {"name": settings.segment}}), "segment")
        elif isinstance(settings, SendSettings):
            yield from _account(work, settings.account)
            find_template(work, settings.template)
    except Refusals as error:
        yield from error.errors
    except DomainError as error:
        yield error


def _account(work: Work, name: str) -> Iterator[DomainError]:
    try:
        account = find_account(work, name)
        channel = work.plugins.channel(account.channel)
    except DomainError as error:
        error.path = ("account",)
        yield error
        return
    if Capability.MESSAGES not in channel.manifest.capabilities:
        yield InvalidInput(
            f"the channel {account.channel!r} sends no messages",
            path=("account",),
            next_step="choose an account that does",
        )


def _unfit(work: Work, rule: Rule, setting: str) -> Iterator[DomainError]:
    try:
        check_rule(work, rule)
    except Refusals as error:
        for one in error.errors:
            if setting == "segment":
                one.path = ("segment",)
                yield one
            else:
                yield _below(setting, one)


def _below(setting: str, problem: DomainError) -> DomainError:
    problem.path = (setting, *problem.path)
    return problem


def _at(node_id: str, problems: Iterable[DomainError]) -> Iterator[DomainError]:
    for problem in problems:
        place = (Verbatim(step) if isinstance(step, str) else step for step in problem.path)
        problem.path = ("graph", "nodes", Verbatim(node_id), "settings", *place)
        yield problem


def _outlets(graph: Graph, at: int, outlets: tuple[str, ...]) -> Iterator[DomainError]:
    part = graph.nodes[at]
    used = {edge.outlet for edge in graph.edges if edge.source == part.id}
    for name in sorted(used - set(outlets)):
        yield InvalidInput(
            f"node {part.id!r} has no outlet {name!r}",
            path=("graph", "nodes", Verbatim(part.id)),
            next_step=f"its outlets are: {', '.join(outlets) or 'none'}",
        )
    for name in outlets:
        if name not in used:
            yield InvalidInput(
                f"nothing follows outlet {name!r} of node {part.id!r}",
                path=("graph", "nodes", Verbatim(part.id)),
                next_step="draw an edge from it, to an exit if the journey ends here",
            )


def _reach(graph: Graph) -> Iterator[DomainError]:
    index = graph.index()
    start = [at for at, part in enumerate(graph.nodes) if part.kind in TRIGGERS]
    seen, todo = set(start), deque(start)
    while todo:
        here = todo.popleft()
        for edge in graph.edges:
            if index[edge.source] == here and index[edge.target] not in seen:
                seen.add(index[edge.target])
                todo.append(index[edge.target])
    for at, part in enumerate(graph.nodes):
        if at not in seen:
            yield InvalidInput(
                f"nobody can reach node {part.id!r}",
                path=("graph", "nodes", Verbatim(part.id)),
                next_step="draw an edge to it, or remove it",
            )


def _loops(graph: Graph) -> Iterator[DomainError]:
    """A loop without a wait would spin; found by looking for cycles among nodes that may let people pass at once."""
    index = graph.index()
    quick = {at for at, part in enumerate(graph.nodes) if part.kind != "wait"}
    after: dict[int, list[int]] = {at: [] for at in quick}
    for edge in graph.edges:
        source, target = index[edge.source], index[edge.target]
        if source in quick and target in quick:
            after[source].append(target)
    state: dict[int, int] = {}
    for root in sorted(quick):
        stack = [(root, iter(after[root]))] if root not in state else []
        if stack:
            state[root] = 1
        while stack:
            here, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[here] = 2
                stack.pop()
            elif following not in state:
                state[following] = 1
                stack.append((following, iter(after[following])))
            elif state[following] == 1:
                name = graph.nodes[following].id
                yield InvalidInput(
                    f"node {name!r} is in a loop that never waits",
                    path=("graph", "nodes", Verbatim(name)),
                    next_step="put a wait into the loop",
                )
                return
