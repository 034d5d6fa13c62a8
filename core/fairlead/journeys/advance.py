"""Moving people through journeys: every node of every running version, a batch per transaction.

State, step log and outbox change together, under the key ``(enrolment, node, visit)``: a crash before the commit leaves
everybody where they stood, one after it leaves nothing to do again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from fairlead.clients.service import get_client
from fairlead.errors import DomainError
from fairlead.journeys import batch
from fairlead.journeys.batch import BATCH
from fairlead.journeys.graph import Graph, parse_graph
from fairlead.journeys.model import Enrolment, Journey, JourneyVersion
from fairlead.journeys.nodes import SendSettings, find_node
from fairlead.messaging.outbox import queue_batch, queue_people
from fairlead.observability.logging import get_logger
from fairlead.plugins.contracts.journey_node import CompilesToSql, JourneyNode, NodeBatch, NodeSqlContext
from fairlead.storage.types import to_millis
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

BATCH_SIZE = 5_000
MAX_ROUNDS = 10_000
PROBES = 100


log = get_logger("fairlead.journeys")


class JourneyFault(Exception):
    """A node broke its contract. The journey's people stay where they are; the message names node and plugin."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a version where somebody is due."""

    version_id: int
    node: int


def advance(runtime: Fairlead, client: str | int, *, size: int = BATCH_SIZE) -> int:
    """Move everybody of one client who is due, until nobody is; the answer is the number of steps taken.

    A node that fails (its plugin, template or account is gone, or it broke its contract) keeps its people and is
    logged; everybody else goes on.
    """
    steps = 0
    faulty: set[Place] = set()
    for _ in range(MAX_ROUNDS):
        with runtime.reading(client) as work:
            places = [place for place in due_places(work) if place not in faulty]
        taken = 0
        for place in places:
            try:
                met, moved = runtime.run(client, partial(advance_place, place=place, size=size))
            except Exception as error:
                faulty.add(place)
                expected = isinstance(error, DomainError | JourneyFault)
                text = str(error) if expected else type(error).__name__
                where = {"version_id": place.version_id, "node": place.node}
                log.error("a node of a journey failed", reason=text, exc_info=not expected, **where)
                continue
            taken, steps = taken + met, steps + moved
        if not taken:
            break
    return steps


def due_places(work: Work) -> list[Place]:
    """Where somebody is due in a journey that is active: one index probe per node, however many people wait."""
    versions = work.session.execute(
        sa.select(JourneyVersion.id, JourneyVersion.graph)
        .join(Journey, sa.and_(Journey.id == JourneyVersion.journey_id, Journey.state == "active"))
        .order_by(JourneyVersion.id)
    ).all()
    places = [Place(version_id, node) for version_id, graph in versions for node in range(len(graph["nodes"]))]
    due = []
    for start in range(0, len(places), PROBES):
        probes = [_somebody_due(place, work) for place in places[start : start + PROBES]]
        due += [Place(version_id, node) for version_id, node in work.session.execute(sa.union_all(*probes))]
    return due


def _somebody_due(place: Place, work: Work) -> sa.Select[int, int]:
    first = (
        sa.select(Enrolment.version_id, Enrolment.node)
        .where(
            Enrolment.client_id == work.client_id,
            Enrolment.version_id == place.version_id,
            Enrolment.node == place.node,
            Enrolment.state == sa.literal_column("'active'"),
            Enrolment.due_at <= work.now,
        )
        .limit(1)
        .subquery()
    )
    return sa.select(first.c.version_id, first.c.node)


def advance_place(work: Work, place: Place, size: int) -> tuple[int, int]:
    """Decide for one batch on one node and write everything that follows; answers how many it met and how many moved.

    Raises :class:`JourneyFault` when the node's decision is none.
    """
    now = to_millis(work.now)
    if not _still_active(work, place.version_id):
        return 0, 0
    taken = batch.take(work.session, place.version_id, place.node, now, size)
    if not taken:
        return 0, 0
    graph = load_graph(work, place.version_id)
    part = graph.nodes[place.node]
    node = find_node(work, part.kind)
    settings = node.manifest.settings.model_validate(part.settings)
    outlets = node.outlets(settings)
    targets = graph.targets()
    if isinstance(node, CompilesToSql):
        _decide_by_sql(work, node, settings, now)
    else:
        _decide_by_arrays(work, node, settings, part.id, now)
    if wrong := batch.undecided(work.session, len(outlets), now):
        raise JourneyFault(f"node {part.id!r} ({part.kind}) gave {wrong} people no outlet it has and no later time")
    if isinstance(settings, SendSettings):
        queue_batch(work, settings.account, settings.template, settings.purpose, part.id)
    batch.log_steps(work.session, place.node, outlets, now)
    after = {number: targets[place.node, name] for number, name in enumerate(outlets) if (place.node, name) in targets}
    return taken, batch.move(work.session, after, now, graph.visit_limit, goal=part.kind == "goal")


def _still_active(work: Work, version_id: int) -> bool:
    """Whether the journey moves now; it cannot be paused before this transaction ends."""
    query = (
        sa.select(Journey.state)
        .join(JourneyVersion, JourneyVersion.journey_id == Journey.id)
        .where(JourneyVersion.id == version_id)
        .with_for_update(read=True, of=Journey)
    )
    return work.session.scalar(query) == "active"


def load_graph(work: Work, version_id: int) -> Graph:
    """The graph of a version."""
    return parse_graph(
        work.session.scalars(sa.select(JourneyVersion.graph).where(JourneyVersion.id == version_id)).one()
    )


def _decide_by_sql(work: Work, node: CompilesToSql, settings: Any, now: int) -> None:
    context = NodeSqlContext(
        work=work,
        now=now,
        zone=_zone(work),
        profile_id=BATCH.c.profile_id,
        entered_at=BATCH.c.entered_at,
        enrolment_id=BATCH.c.enrolment_id,
        people=sa.select(BATCH.c.profile_id),
    )
    batch.decide(work.session, node.outlet_sql(context, settings), node.due_sql(context, settings))


def _decide_by_arrays(work: Work, node: JourneyNode, settings: Any, node_id: str, now: int) -> None:
    enrolments, profiles, visits, entered = batch.people(work.session)
    outcome = node.run(NodeBatch(work.client_id, now, _zone(work), profiles, visits, entered, work.session), settings)
    chosen = np.asarray(outcome.outlet, np.int64)
    due = np.full(profiles.shape, now, np.int64) if outcome.due_at is None else np.asarray(outcome.due_at, np.int64)
    notes = outcome.note or [""] * len(profiles)
    if chosen.shape != profiles.shape or due.shape != profiles.shape or len(notes) != len(profiles):
        raise JourneyFault(f"node {node_id!r} ({node.manifest.name}) did not decide for each of its people")
    batch.decide_each(work.session, enrolments, chosen, due, notes)
    for request in outcome.sends:
        at = request.people
        queue_people(
            work, request.account, request.template, request.purpose, node_id, profiles[at], enrolments[at], visits[at]
        )


def _zone(work: Work) -> str:
    return get_client(work.session, work.client_id).zone
