"""The graph of a journey as typed input, field by field what :mod:`fairlead.journeys.graph` keeps."""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry.scalars import JSON

from fairlead_graphql.audiences.rule_input import rule_json
from fairlead_graphql.journeys.types import ReentryPolicy

UNSET: Any = strawberry.UNSET


@strawberry.input(description="Where an editor drew a node.")
class NodePositionInput:
    """A place on the canvas."""

    x: float = strawberry.field(description="To the right.")
    y: float = strawberry.field(description="Down.")


@strawberry.input(description="A node of a graph.")
class JourneyNodeInput:
    """A node."""

    id: str = strawberry.field(
        description="Its name in the graph: a letter, then letters, digits, _ and -, 40 at most."
    )
    kind: str = strawberry.field(description="Name of its kind in the catalogue.")
    title: str | None = strawberry.field(default=UNSET, description="Its name for people.")
    settings: JSON | None = strawberry.field(
        default=UNSET, description="Its settings, as the JSON Schema of its kind describes them."
    )
    position: NodePositionInput | None = strawberry.field(default=UNSET, description="Where it is drawn.")


@strawberry.input(description="An edge of a graph: whoever leaves the source by the outlet goes to the target.")
class JourneyLinkInput:
    """An edge."""

    source: str = strawberry.field(description="Id of the node it starts at.")
    outlet: str | None = strawberry.field(default=UNSET, description="The way out; next unless given.")
    target: str = strawberry.field(description="Id of the node it leads to.")
    priority: int | None = strawberry.field(
        default=UNSET, description="Of several edges from one outlet the lowest counts; 0 unless given."
    )


@strawberry.input(description="Whether somebody may enter again.")
class JourneyReentryInput:
    """Re-entry."""

    policy: ReentryPolicy = strawberry.field(description="The rule.")
    days: int | None = strawberry.field(default=UNSET, description="For AFTER: how many days must have passed.")


@strawberry.input(description="A whole journey as it is drawn.")
class JourneyGraphInput:
    """A graph."""

    nodes: list[JourneyNodeInput] = strawberry.field(description="Its nodes, 1 to 200, exactly one of them a trigger.")
    edges: list[JourneyLinkInput] = strawberry.field(description="Its edges, at most 250: one from each outlet.")
    reentry: JourneyReentryInput | None = strawberry.field(default=UNSET, description="Once unless given.")
    visit_limit: int | None = strawberry.field(
        default=UNSET, description="How many steps somebody may take, 1 to 10000; 100 unless given."
    )


def graph_json(given: JourneyGraphInput) -> dict[str, Any]:
    """The JSON form of a graph, as ``parse_graph`` reads it; what is not given is left out."""
    found: dict[str, Any] = rule_json(given)
    return found
