"""How journeys and enrolments are read, in sets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from strawberry.scalars import JSON

from fairlead.customers.model import Profile
from fairlead.errors import DomainError
from fairlead.journeys.graph import parse_graph
from fairlead.journeys.model import Enrolment, Journey, JourneyVersion, Step
from fairlead.journeys.nodes import BUILT_IN, TRIGGERS, catalogue
from fairlead.journeys.validation import check_graph
from fairlead.plugins.contracts.journey_node import JourneyNode
from fairlead.work import Work
from fairlead_graphql.catalogue import described
from fairlead_graphql.customers.loaders import PROFILE
from fairlead_graphql.customers.types import Profile as ProfileType
from fairlead_graphql.few import shown_count
from fairlead_graphql.journeys import types
from fairlead_graphql.listing import Children, Column, Connection, Page, Plan, read_by
from fairlead_graphql.mutation import UserError, user_errors
from fairlead_graphql.nesting import read_under
from fairlead_graphql.nodes import node_type
from fairlead_graphql.selection import Selection

MOST_STEPS = 100


# -- the catalogue and drawing --------------------------------------------------------------------------------------


def node_kinds(work: Work) -> list[types.JourneyNodeKind]:
    """Every kind of node the client can draw with: triggers first, then by name."""
    plugins = {name: entry.plugin for name, entry in work.plugins.journey_nodes.items()}
    found = [
        types.JourneyNodeKind(
            **described(node.manifest),
            plugin=None if name in BUILT_IN else plugins[name],
            is_trigger=name in TRIGGERS,
            outlets=_outlets(node, name in BUILT_IN),
        )
        for name, node in catalogue(work).items()
    ]
    return sorted(found, key=lambda kind: (not kind.is_trigger, kind.name))


def _outlets(node: JourneyNode, built_in: bool) -> list[str] | None:
    if built_in:
        return list(node.outlets(None))
    try:
        return list(node.outlets(node.manifest.settings()))
    except ValidationError:
        return None


def problems(work: Work, graph: Mapping[str, Any]) -> list[UserError]:
    """Everything that is wrong with a graph, each with the id of its node."""
    try:
        check_graph(work, parse_graph(graph))
    except DomainError as error:
        return user_errors(error)
    return []


def shown_graph(_work: Work, graph: Mapping[str, Any]) -> types.JourneyGraph:
    """A stored graph, in the full form that ``Graph.dump`` gives, as the API shows it."""
    return types.JourneyGraph(
        nodes=[_shown_node(**node) for node in graph["nodes"]],
        edges=[types.JourneyLink(**edge) for edge in graph["edges"]],
        reentry=types.JourneyReentry(
            policy=types.ReentryPolicy(graph["reentry"]["policy"]), days=graph["reentry"]["days"]
        ),
        visit_limit=graph["visit_limit"],
    )


def _shown_node(*, settings: Any, position: Mapping[str, float] | None, **words: str) -> types.JourneyNode:
    place = None if position is None else types.NodePosition(**position)
    return types.JourneyNode(**words, settings=JSON(settings), position=place)


def node_ids(work: Work, versions: Collection[int]) -> dict[int, list[str]]:
    """Ids of the nodes by version, in the order that enrolments number them; read once per session and version."""
    kept: dict[int, list[str]] = work.session.info.setdefault("journey_nodes", {})
    missing = set(versions) - kept.keys()
    if missing:
        rows = work.session.execute(
            sa.select(JourneyVersion.id, JourneyVersion.graph).where(JourneyVersion.id.in_(missing))
        )
        kept.update({number: [node["id"] for node in graph["nodes"]] for number, graph in rows})
    return kept


# -- journeys and versions ------------------------------------------------------------------------------------------


def counts_by_version(
    work: Work, versions: Sequence[int], _selection: Selection
) -> dict[int, list[types.JourneyNodeCount]]:
    """People by node and state, per version."""
    rows = work.session.execute(
        sa.select(
            Enrolment.version_id,
            Enrolment.node,
            Enrolment.state,
            sa.func.count(),
            sa.func.count(Enrolment.goal_at),
        )
        .where(Enrolment.version_id.in_(versions))
        .group_by(Enrolment.version_id, Enrolment.node, Enrolment.state)
        .order_by(Enrolment.version_id, Enrolment.node, Enrolment.state)
    ).all()
    names = node_ids(work, {row[0] for row in rows})
    found: dict[int, list[types.JourneyNodeCount]] = {}
    for version, node, state, people, reached in rows:
        count = types.JourneyNodeCount(
            node_id=names[version][node],
            state=types.EnrolmentState(state),
            people=shown_count(work, people),
            reached_goal=shown_count(work, reached),
        )
        found.setdefault(version, []).append(count)
    return found


VERSION = Plan(
    types.JourneyVersion,
    JourneyVersion.id,
    {
        "number": Column((JourneyVersion.number,)),
        "digest": Column((JourneyVersion.digest,)),
        "graph": Column((JourneyVersion.graph,), shown_graph),
        "createdAt": Column((JourneyVersion.created_at,)),
    },
    {"counts": Children(counts_by_version)},
)


def current_by_journey(work: Work, journeys: Sequence[int], selection: Selection) -> dict[int, types.JourneyVersion]:
    """The version that new people enter, per journey."""
    query = (
        sa.select(JourneyVersion)
        .join(Journey, JourneyVersion.id == Journey.current_version_id)
        .where(Journey.id.in_(journeys))
    )
    return _firsts(read_by(work, VERSION, query, Journey.id, selection))


def versions_by_journey(
    work: Work, journeys: Sequence[int], page: Page, selection: Selection
) -> dict[int, Connection[types.JourneyVersion]]:
    """A page of versions per journey, the newest first."""
    query, parent, key = sa.select(JourneyVersion), JourneyVersion.journey_id, JourneyVersion.id
    return read_under(work, VERSION, query, parent, journeys, key, page, selection, descending=True)


JOURNEY = Plan(
    types.Journey,
    Journey.id,
    {
        "name": Column((Journey.name,)),
        "title": Column((Journey.title,)),
        "state": Column((Journey.state,), lambda _work, state: types.JourneyState(state)),
        "createdAt": Column((Journey.created_at,)),
        "activatedAt": Column((Journey.activated_at,)),
        "changedAt": Column((Journey.changed_at,)),
    },
    {"version": Children(current_by_journey, lambda: None)},
    {"clientId": Journey.client_id},
)


def _firsts(groups: Mapping[int, list[Any]]) -> dict[int, Any]:
    return {number: found[0] for number, found in groups.items()}


# -- enrolments -----------------------------------------------------------------------------------------------------


def _node_by_enrolment(work: Work, enrolments: Sequence[int], _selection: Selection) -> dict[int, str]:
    rows = work.session.execute(
        sa.select(Enrolment.id, Enrolment.version_id, Enrolment.node).where(Enrolment.id.in_(enrolments))
    ).all()
    names = node_ids(work, {row[1] for row in rows})
    return {number: names[version][node] for number, version, node in rows}


def _journey_by_enrolment(work: Work, enrolments: Sequence[int], selection: Selection) -> dict[int, types.Journey]:
    query = sa.select(Journey).join(Enrolment, Enrolment.journey_id == Journey.id).where(Enrolment.id.in_(enrolments))
    return _firsts(read_by(work, JOURNEY, query, Enrolment.id, selection))


def _version_by_enrolment(
    work: Work, enrolments: Sequence[int], selection: Selection
) -> dict[int, types.JourneyVersion]:
    query = (
        sa.select(JourneyVersion)
        .join(Enrolment, Enrolment.version_id == JourneyVersion.id)
        .where(Enrolment.id.in_(enrolments))
    )
    return _firsts(read_by(work, VERSION, query, Enrolment.id, selection))


def profiles_by_enrolment(work: Work, enrolments: Sequence[int], selection: Selection) -> dict[int, ProfileType]:
    """The person of each enrolment; those who were erased are left out."""
    query = (
        sa.select(Profile)
        .join(Enrolment, sa.and_(Enrolment.client_id == Profile.client_id, Enrolment.profile_id == Profile.id))
        .where(Enrolment.id.in_(enrolments), Profile.state != "erased")
    )
    return _firsts(read_by(work, PROFILE, query, Enrolment.id, selection))


def steps_by_enrolment(work: Work, enrolments: Sequence[int], _selection: Selection) -> dict[int, list[Any]]:
    """The latest decisions per enrolment, in order."""
    place = sa.func.row_number().over(partition_by=Step.enrolment_id, order_by=Step.visit.desc()).label("place")
    columns = (Step.enrolment_id, Step.visit, Step.node, Step.outlet, Step.at, Step.note, Enrolment.version_id)
    ranked = (
        sa.select(*columns, place)
        .join(Enrolment, Enrolment.id == Step.enrolment_id)
        .where(Step.enrolment_id.in_(enrolments))
        .subquery()
    )
    rows = work.session.execute(
        sa.select(*(ranked.c[column.key] for column in columns))
        .where(ranked.c.place <= MOST_STEPS)
        .order_by(ranked.c.enrolment_id, ranked.c.visit)
    ).all()
    names = node_ids(work, {row[6] for row in rows})
    found: dict[int, list[Any]] = {}
    for enrolment, visit, node, outlet, at, note, version in rows:
        step = types.JourneyStep(number=visit, node_id=names[version][node], outlet=outlet, at=at, note=note)
        found.setdefault(enrolment, []).append(step)
    return found


ENROLMENT = Plan(
    types.Enrolment,
    Enrolment.id,
    {
        "state": Column((Enrolment.state,), lambda _work, state: types.EnrolmentState(state)),
        "dueAt": Column((Enrolment.due_at,)),
        "enteredNodeAt": Column((Enrolment.entered_node_at,)),
        "enrolledAt": Column((Enrolment.enrolled_at,)),
        "finishedAt": Column((Enrolment.finished_at,)),
        "goalAt": Column((Enrolment.goal_at,)),
    },
    {
        "nodeId": Children(_node_by_enrolment, str),
        "journey": Children(_journey_by_enrolment, lambda: None),
        "version": Children(_version_by_enrolment, lambda: None),
        "steps": Children(steps_by_enrolment),
    },
    {"clientId": Enrolment.client_id},
)


def enrolments_by_journey(
    work: Work, journeys: Sequence[int], state: str | None, page: Page, selection: Selection
) -> dict[int, Connection[types.Enrolment]]:
    """A page of enrolments per journey, in the order that the index on journey and profile has."""
    query = sa.select(Enrolment)
    if state is not None:
        query = query.where(Enrolment.state == state)
    parent, key = Enrolment.journey_id, Enrolment.profile_id
    return read_under(work, ENROLMENT, query, parent, journeys, key, page, selection)


def enrolments_by_profile(
    work: Work, profiles: Sequence[int], page: Page, selection: Selection
) -> dict[int, Connection[types.Enrolment]]:
    """A page of enrolments per profile, the newest first."""
    query, parent, key = sa.select(Enrolment), Enrolment.profile_id, Enrolment.id
    return read_under(work, ENROLMENT, query, parent, profiles, key, page, selection, descending=True)


node_type(JOURNEY, "journeys:read")
node_type(VERSION, "journeys:read")
node_type(ENROLMENT, "journeys:read", also="profiles:read")
