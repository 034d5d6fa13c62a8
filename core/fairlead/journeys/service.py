"""Journeys as people handle them: draft, new version, activate, pause, archive, and putting people in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from fairlead.errors import Conflict, InvalidInput, NotFound
from fairlead.governance.audit import record
from fairlead.journeys.graph import Graph, parse_graph
from fairlead.journeys.model import Enrolment, Journey, JourneyVersion
from fairlead.journeys.triggers import enrol, start_triggers, trigger_of
from fairlead.journeys.validation import check_graph
from fairlead.messaging.outbox import release_paused
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.storage.locks import lock
from fairlead.work import Work


def create_journey(work: Work, name: str, title: str, graph: Mapping[str, Any] | Graph) -> Journey:
    """A draft with its first version. Raises ``Conflict`` for a taken name, ``Refusals`` for a wrong graph."""
    name = name.strip()
    if not name or len(name) > 80:
        raise InvalidInput("a journey's name has 1 to 80 characters", path=("name",))
    lock(work.session, f"journeys/{work.client_id}")
    if work.session.scalars(sa.select(Journey.id).where(Journey.name == name)).first() is not None:
        raise Conflict(f"there is a journey {name!r} already", path=("name",), next_step="choose another name")
    journey = Journey(
        name=name, title=title.strip()[:80] or name, state="draft", created_at=work.now, changed_at=work.now
    )
    work.session.add(journey)
    work.session.flush()
    version = _add_version(work, journey, graph)
    journey.current_version_id = version.id
    record(work, "journey.create", "journey", str(journey.id), after={"name": name, "version": version.digest})
    return journey


def save_version(work: Work, journey_id: int, graph: Mapping[str, Any] | Graph) -> JourneyVersion:
    """A new version. Who is under way stays on theirs; an active journey lets new people into the new one at once.

    Another trigger counts from now on, as if the journey were activated: what happened before brings nobody in.
    """
    journey = _locked(work, journey_id)
    if journey.state == "archived":
        raise Conflict("an archived journey takes no new version", path=("journeyId",))
    replaced = work.session.get_one(JourneyVersion, journey.current_version_id)
    version = _add_version(work, journey, graph)
    before, journey.current_version_id, journey.changed_at = journey.current_version_id, version.id, work.now
    drawn = parse_graph(version.graph)
    if journey.state != "draft" and _trigger(drawn) != _trigger(parse_graph(replaced.graph)):
        start_triggers(work, journey, version, drawn)
    record(
        work,
        "journey.version",
        "journey",
        str(journey.id),
        {"version": before},
        {"version": version.id, "digest": version.digest},
    )
    return version


def get_journey(work: Work, journey_id: int) -> Journey:
    """The journey; raises ``NotFound``."""
    journey = work.session.get(Journey, journey_id)
    if journey is None:
        raise NotFound("there is no such journey", path=("journeyId",))
    return journey


def activate_journey(work: Work, journey_id: int) -> Journey:
    """Let people in and move them. The graph is checked again: plugins, segments and templates may have changed."""
    journey = _locked(work, journey_id)
    if journey.state not in ("draft", "paused"):
        raise Conflict(f"the journey is {journey.state}", path=("journeyId",))
    version = work.session.get_one(JourneyVersion, journey.current_version_id)
    graph = parse_graph(version.graph)
    check_graph(work, graph)
    first_time = journey.state == "draft"
    before, journey.state, journey.changed_at = journey.state, "active", work.now
    work.session.flush()
    if first_time:
        journey.activated_at = work.now
        start_triggers(work, journey, version, graph)
    else:
        release_paused(work, journey.id)
    record(
        work,
        "journey.activate",
        "journey",
        str(journey.id),
        {"state": before},
        {"state": "active", "digest": version.digest},
    )
    _announce(work, journey, EventType.JOURNEY_ACTIVATED)
    return journey


def pause_journey(work: Work, journey_id: int) -> Journey:
    """Stop moving people and sending their messages; everybody keeps their place and queued messages keep theirs."""
    journey = _locked(work, journey_id)
    if journey.state != "active":
        raise Conflict(f"the journey is {journey.state}", path=("journeyId",))
    journey.state, journey.changed_at = "paused", work.now
    record(work, "journey.pause", "journey", str(journey.id), {"state": "active"}, {"state": "paused"})
    _announce(work, journey, EventType.JOURNEY_PAUSED)
    return journey


def archive_journey(work: Work, journey_id: int) -> Journey:
    """End the journey for good: whoever is under way leaves it, and what is queued is refused when it would leave."""
    journey = _locked(work, journey_id)
    if journey.state == "archived":
        raise Conflict("the journey is archived already", path=("journeyId",))
    before, journey.state, journey.changed_at = journey.state, "archived", work.now
    work.session.flush()
    work.session.execute(
        sa.update(Enrolment)
        .where(Enrolment.journey_id == journey.id, Enrolment.state == "active")
        .values(state="exited", finished_at=work.now),
        execution_options={"synchronize_session": False},
    )
    record(work, "journey.archive", "journey", str(journey.id), {"state": before}, {"state": "archived"})
    return journey


def enrol_profiles(work: Work, journey_id: int, profile_ids: list[int]) -> int:
    """Put people into an active journey by hand; those whom the re-entry policy keeps out are passed over."""
    journey = _locked(work, journey_id)
    if journey.state != "active":
        raise Conflict(f"the journey is {journey.state}", path=("journeyId",), next_step="activate it first")
    version = work.session.get_one(JourneyVersion, journey.current_version_id)
    entered = enrol(work, journey, version, parse_graph(version.graph), profile_ids)
    record(work, "journey.enrol", "journey", str(journey.id), after={"people": entered})
    return entered


def node_counts(work: Work, version_id: int) -> list[tuple[int, str, int, int]]:
    """Node, state, people and how many of them reached the goal, for one version."""
    rows = work.session.execute(
        sa.select(Enrolment.node, Enrolment.state, sa.func.count(), sa.func.count(Enrolment.goal_at))
        .where(Enrolment.version_id == version_id)
        .group_by(Enrolment.node, Enrolment.state)
        .order_by(Enrolment.node, Enrolment.state)
    )
    return [(node, state, people, reached) for node, state, people, reached in rows]


def _locked(work: Work, journey_id: int) -> Journey:
    """The journey as it is now; nobody else changes it until the transaction ends. Raises ``NotFound``."""
    work.session.flush()
    query = sa.select(Journey).where(Journey.id == journey_id).with_for_update()
    journey = work.session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
    if journey is None:
        raise NotFound("there is no such journey", path=("journeyId",))
    return journey


def _trigger(graph: Graph) -> tuple[str, dict[str, Any]]:
    node = trigger_of(graph)
    return node.kind, dict(node.settings)


def _add_version(work: Work, journey: Journey, graph: Mapping[str, Any] | Graph) -> JourneyVersion:
    parsed = graph if isinstance(graph, Graph) else parse_graph(graph)
    check_graph(work, parsed)
    last = work.session.scalar(
        sa.select(sa.func.max(JourneyVersion.number)).where(JourneyVersion.journey_id == journey.id)
    )
    version = JourneyVersion(
        journey_id=journey.id, number=(last or 0) + 1, graph=parsed.dump(), digest=parsed.digest(), created_at=work.now
    )
    work.session.add(version)
    work.session.flush()
    return version


def _announce(work: Work, journey: Journey, type_: str) -> None:
    key = f"{type_}/{journey.id}/{work.now.timestamp():.3f}"
    work.events.append(
        DomainEvent(key, type_, work.client_id, work.now, f"journey:{journey.id}", {"name": journey.name})
    )
