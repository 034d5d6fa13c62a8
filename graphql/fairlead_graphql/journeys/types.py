"""Journeys, their graphs, and who is on their way, as the API shows them."""

from __future__ import annotations

import datetime as dt
import enum
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.scalars import JSON

from fairlead.journeys.graph import MAX_NODES
from fairlead_graphql.arguments import After, First
from fairlead_graphql.few import FEW
from fairlead_graphql.listing import Connection, batched, empty_connection, page_of
from fairlead_graphql.paging import MOST
from fairlead_graphql.policy import client_field, reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Node, Title
from fairlead_graphql.selection import selection_of

if TYPE_CHECKING:
    from fairlead_graphql.customers.types import Profile

ProfileRef = Annotated["Profile", strawberry.lazy("fairlead_graphql.customers.types")]


@strawberry.enum(description="What a journey does now.")
class JourneyState(enum.Enum):
    """States of journeys."""

    DRAFT = strawberry.enum_value("draft", description="Not begun.")
    ACTIVE = strawberry.enum_value("active", description="People enter and move.")
    PAUSED = strawberry.enum_value("paused", description="Nobody enters or moves; everybody keeps their place.")
    ARCHIVED = strawberry.enum_value("archived", description="Ended for good.")


@strawberry.enum(description="Whether somebody is on their way.")
class EnrolmentState(enum.Enum):
    """States of enrolments."""

    ACTIVE = strawberry.enum_value("active", description="On their way, perhaps waiting.")
    FINISHED = strawberry.enum_value("finished", description="Came to an end of the graph.")
    EXITED = strawberry.enum_value("exited", description="Left before an end: archived, or beyond the visit limit.")


MOST_COUNTS = MAX_NODES * len(EnrolmentState)
"""One for each node and state."""


@strawberry.enum(description="Whether somebody may enter a journey again.")
class ReentryPolicy(enum.Enum):
    """Policies of re-entry."""

    ONCE = strawberry.enum_value("once", description="Once, ever.")
    ALWAYS = strawberry.enum_value("always", description="At each trigger, when not on the way already.")
    AFTER = strawberry.enum_value("after", description="When some days have passed since the last entry.")


@reached_with("journeys:read")
@strawberry.type(description="A kind of node that journeys can be drawn with.")
class JourneyNodeKind:
    """An entry of the catalogue."""

    name: str = strawberry.field(description="The kind, as nodes of a graph name it.")
    title: Title = strawberry.field(description="Its name for people.")
    description: Title = strawberry.field(description="What it does.")
    version: str = strawberry.field(description="Its version.")
    plugin: str | None = strawberry.field(description="The plugin it comes with; null for one that is built in.")
    is_trigger: bool = strawberry.field(description="Whether people enter by it; a journey has exactly one such node.")
    outlets: list[str] | None = strawberry.field(
        description="Its ways out with default settings; null when they follow from settings that must be given first."
    )
    settings_schema: JSON = strawberry.field(description="JSON Schema of its settings, for a form.")


@reached_with("journeys:read")
@strawberry.type(description="Where an editor drew a node.")
class NodePosition:
    """A place on the canvas."""

    x: float = strawberry.field(description="To the right.")
    y: float = strawberry.field(description="Down.")


@reached_with("journeys:read")
@strawberry.type(description="A node of a graph.")
class JourneyNode:
    """A node."""

    id: str = strawberry.field(description="Its name within the graph; no global id.")
    kind: str = strawberry.field(description="Name of its kind in the catalogue.")
    title: str = strawberry.field(description="Its name for people; may be empty.")
    settings: JSON = strawberry.field(description="Its settings, as the JSON Schema of its kind describes them.")
    position: NodePosition | None = strawberry.field(description="Where it is drawn, if that was kept.")


@reached_with("journeys:read")
@strawberry.type(description="An edge of a graph: whoever leaves the source by the outlet goes to the target.")
class JourneyLink:
    """An edge."""

    source: str = strawberry.field(description="Id of the node it starts at.")
    outlet: str = strawberry.field(description="The way out.")
    target: str = strawberry.field(description="Id of the node it leads to.")
    priority: int = strawberry.field(description="Of several edges from one outlet the lowest counts.")


@reached_with("journeys:read")
@strawberry.type(description="Whether somebody may enter again.")
class JourneyReentry:
    """Re-entry."""

    policy: ReentryPolicy = strawberry.field(description="The rule.")
    days: int = strawberry.field(description="For AFTER: how many days must have passed.")


@reached_with("journeys:read")
@strawberry.type(description="A whole journey as it is drawn.")
class JourneyGraph:
    """A graph."""

    nodes: list[JourneyNode] = rows(MAX_NODES, "Its nodes, at most 200.")
    edges: list[JourneyLink] = rows(250, "Its edges, at most 250.")
    reentry: JourneyReentry = strawberry.field(description="Whether somebody may enter again.")
    visit_limit: int = strawberry.field(description="How many steps somebody may take before they are let out.")


@reached_with("journeys:read")
@strawberry.type(description="How many people stand or ended at a node.")
class JourneyNodeCount:
    """A count."""

    node_id: str = strawberry.field(description="The node.")
    state: EnrolmentState = strawberry.field(description="Whether they are still on their way.")
    people: int = strawberry.field(description=f"How many. {FEW}")
    reached_goal: int = strawberry.field(description=f"How many of them reached a goal. {FEW}")


@reached_with("journeys:read")
@strawberry.type(description="An immutable version of a journey's graph.")
class JourneyVersion(Node):
    """A version."""

    number: int = strawberry.field(description="1, 2, 3 …")
    digest: str = strawberry.field(description="SHA-256 of the graph: two versions with one digest are the same.")
    graph: JourneyGraph = strawberry.field(description="The graph.")
    created_at: dt.datetime = strawberry.field(description="When it was saved.")
    counts: list[JourneyNodeCount] = rows(MOST_COUNTS, "People by node and state; nodes without any are left out.")


@reached_with("journeys:read")
@strawberry.type(description="A decision of a node for somebody.")
class JourneyStep:
    """A step."""

    number: int = strawberry.field(description="0 for the first.")
    node_id: str = strawberry.field(description="The node that decided.")
    outlet: str = strawberry.field(description="The way out; end where there was none.")
    at: dt.datetime = strawberry.field(description="When.")
    note: str = strawberry.field(description="What the node noted about it; may be empty.")


@reached_with("journeys:read")
@strawberry.type(description="Somebody in a version of a journey.")
class Enrolment(Node):
    """An enrolment."""

    client_id: strawberry.Private[int]
    state: EnrolmentState = strawberry.field(description="Whether they are on their way.")
    node_id: str = strawberry.field(description="The node they stand on, or ended at.")
    due_at: dt.datetime = strawberry.field(description="When they are looked at again.")
    entered_node_at: dt.datetime = strawberry.field(description="Since when they stand there.")
    enrolled_at: dt.datetime = strawberry.field(description="When they entered the journey.")
    finished_at: dt.datetime | None = strawberry.field(description="When they left it; null on the way.")
    goal_at: dt.datetime | None = strawberry.field(description="When they reached a goal; null if they did not.")
    journey: Journey = strawberry.field(description="The journey.")
    version: JourneyVersion = strawberry.field(description="The version they are in.")
    steps: list[JourneyStep] = rows(MOST, "What was decided for them, the latest 100 in order.")

    @client_field("profiles:read", on="Enrolment", description="Who; null when they were erased since.")
    def profile(self, info: strawberry.Info) -> ProfileRef | None:
        from fairlead_graphql.journeys import loaders

        work, selection = info.context.work(self.client_id), selection_of(info)
        return batched(
            self,
            ("profile", id(selection)),
            lambda numbers: loaders.profiles_by_enrolment(work, numbers, selection),
            lambda: None,
        )


@reached_with("journeys:read")
@strawberry.type(description="A journey: a graph that people move through by themselves.")
class Journey(Node):
    """A journey."""

    client_id: strawberry.Private[int]
    name: str = strawberry.field(description="Its name in arguments, unique.")
    title: str = strawberry.field(description="Its name for people.")
    state: JourneyState = strawberry.field(description="What it does now.")
    version: JourneyVersion = strawberry.field(description="The version that new people enter.")
    created_at: dt.datetime = strawberry.field(description="When it was made.")
    activated_at: dt.datetime | None = strawberry.field(description="When it was first activated; null if never.")
    changed_at: dt.datetime = strawberry.field(description="When its state or version last changed.")

    @strawberry.field(description="All its versions, the newest first.")
    def versions(
        self, info: strawberry.Info, first: First = strawberry.UNSET, after: After = strawberry.UNSET
    ) -> Connection[JourneyVersion]:
        from fairlead_graphql.journeys import loaders

        page, selection = page_of(first, after), selection_of(info)
        work = info.context.work(self.client_id)
        return batched(
            self,
            ("versions", first, after, id(selection)),
            lambda numbers: loaders.versions_by_journey(work, numbers, page, selection),
            empty_connection,
        )

    @client_field("profiles:read", on="Journey", description="Who is or was in it, in the order of profiles.")
    def enrolments(
        self,
        info: strawberry.Info,
        state: Annotated[
            EnrolmentState | None, strawberry.argument(description="Only those in this state.")
        ] = strawberry.UNSET,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> Connection[Enrolment]:
        from fairlead_graphql.journeys import loaders

        page, selection = page_of(first, after), selection_of(info)
        work = info.context.work(self.client_id)
        chosen = str(state.value) if isinstance(state, EnrolmentState) else None
        return batched(
            self,
            ("enrolments", chosen, first, after, id(selection)),
            lambda numbers: loaders.enrolments_by_journey(work, numbers, chosen, page, selection),
            empty_connection,
        )
