"""Who enters a journey, and when. Entering twice for one reason is impossible: the reason is part of a unique key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from fairlead.audiences.model import Segment, SegmentChange, SegmentMember
from fairlead.customers.model import Profile
from fairlead.facts import codes
from fairlead.facts.model import Event
from fairlead.journeys.graph import Graph, Node, parse_graph
from fairlead.journeys.model import Enrolment, Journey, JourneyVersion
from fairlead.journeys.nodes import TRIGGERS, EventTriggerSettings, SegmentTriggerSettings
from fairlead.storage import bulk, ids
from fairlead.storage.locks import lock
from fairlead.storage.types import to_millis
from fairlead.work import Work

CHUNK = 20_000
DAY = 24 * 60 * 60 * 1000
OVERLAP = 100_000
"""How far back the event trigger looks again, in ids: transactions may commit later than their ids were given out."""


def enrol(
    work: Work,
    journey: Journey,
    version: JourneyVersion,
    graph: Graph,
    profile_ids: Sequence[int],
    reasons: Sequence[str] | None = None,
) -> int:
    """Put people on the trigger node. ``reasons`` name what brought each (an event, an entry); of several, a person's
    last counts, and the same reason counts once.

    Only active profiles enter, and only as often as the graph's re-entry policy lets them. The answer is how many did.
    """
    lock(work.session, f"enrol/{journey.id}")
    start = next(at for at, node in enumerate(graph.nodes) if node.kind in TRIGGERS)
    latest = dict(zip(profile_ids, reasons or [f"at:{to_millis(work.now)}"] * len(profile_ids), strict=True))
    people = list(latest)
    entered = 0
    for chunk in range(0, len(people), CHUNK):
        allowed = _allowed(work, journey, graph, set(people[chunk : chunk + CHUNK]))
        pairs = [
            (person, _entry(graph, latest[person])) for person in people[chunk : chunk + CHUNK] if person in allowed
        ]
        now = to_millis(work.now)
        entered += bulk.insert(
            work.session,
            Enrolment,
            {
                "id": ids.reserve(work.session.connection(), len(pairs)),
                "journey_id": [journey.id] * len(pairs),
                "version_id": [version.id] * len(pairs),
                "profile_id": [person for person, _ in pairs],
                "entry": [reason for _, reason in pairs],
                "node": [start] * len(pairs),
                "visit": [0] * len(pairs),
                "state": ["active"] * len(pairs),
                "due_at": [now] * len(pairs),
                "entered_node_at": [now] * len(pairs),
                "enrolled_at": [now] * len(pairs),
            },
            ignore_known=True,
        )
    return entered


def _entry(graph: Graph, reason: str) -> str:
    return "once" if graph.reentry.policy == "once" else reason[:40]


def _allowed(work: Work, journey: Journey, graph: Graph, people: set[int]) -> set[int]:
    """Active profiles that are not on their way already and whose last entry is long enough ago."""
    conditions = [Enrolment.journey_id == journey.id]
    if graph.reentry.policy == "after":
        since = work.now - dt.timedelta(days=graph.reentry.days)
        conditions.append(sa.or_(Enrolment.state == "active", Enrolment.enrolled_at > since))
    elif graph.reentry.policy == "always":
        conditions.append(Enrolment.state == "active")

    def busy(profile_id: Any) -> sa.Exists:
        return sa.exists().where(*conditions, Enrolment.profile_id == profile_id)

    # Whoever was merged into somebody has been here as that person. Found from the few who were merged, not for each
    # of the many who come in.
    absorbed = aliased(Profile)
    survivors = sa.select(absorbed.merged_into).where(
        absorbed.state != "active", absorbed.merged_into.is_not(None), busy(absorbed.id)
    )
    return set(
        work.session.scalars(
            sa.select(Profile.id).where(
                Profile.id.in_(people), Profile.state == "active", ~busy(Profile.id), Profile.id.not_in(survivors)
            )
        )
    )


def trigger_of(graph: Graph) -> Node:
    """The node where people come in."""
    return next(node for node in graph.nodes if node.kind in TRIGGERS)


def start_triggers(work: Work, journey: Journey, version: JourneyVersion, graph: Graph) -> int:
    """When a trigger begins to count: take in who is in its segment now, and remember from where it is read."""
    trigger = trigger_of(graph)
    journey.listening_since = work.now
    if trigger.kind == "trigger_segment":
        # A refresh in progress holds this row, so its changes are either members now or later than the last refresh.
        wanted = SegmentTriggerSettings.model_validate(trigger.settings).segment
        segment_id, journey.trigger_cursor = _segment(work, wanted, for_update=True)
        people = work.session.scalars(
            sa.select(SegmentMember.profile_id)
            .where(SegmentMember.segment_id == segment_id)
            .order_by(SegmentMember.profile_id)
        ).all()
        return enrol(work, journey, version, graph, people)
    if trigger.kind == "trigger_event":
        journey.trigger_cursor = int(ids.reserve(work.session.connection(), 1)[0])
    return 0


def take_in(work: Work) -> int:
    """For every active journey of the client, enrol whoever its trigger has seen since the last time."""
    entered = 0
    rows = work.session.execute(
        sa.select(Journey, JourneyVersion)
        .join(JourneyVersion, JourneyVersion.id == Journey.current_version_id)
        .where(Journey.state == "active")
        .order_by(Journey.id)
        .with_for_update(of=Journey)
    ).all()
    for journey, version in rows:
        graph = parse_graph(version.graph)
        trigger = trigger_of(graph)
        if trigger.kind == "trigger_segment":
            entered += _from_segment(
                work, journey, version, graph, SegmentTriggerSettings.model_validate(trigger.settings)
            )
        elif trigger.kind == "trigger_event":
            entered += _from_events(
                work, journey, version, graph, EventTriggerSettings.model_validate(trigger.settings)
            )
    return entered


def _segment(work: Work, name: str, *, for_update: bool = False) -> tuple[int | None, int]:
    """The segment's id, and its last refresh in epoch milliseconds, 0 for none."""
    query = sa.select(Segment.id, Segment.refreshed_at).where(Segment.name == name)
    row = work.session.execute(query.with_for_update() if for_update else query).one_or_none()
    return (None, 0) if row is None else (row.id, to_millis(row.refreshed_at) if row.refreshed_at else 0)


def _under_way(journey: Journey, profile_id: Any, at: Any) -> sa.ColumnElement[bool]:
    """Whether somebody was on this journey at that instant: what happens on the way does not bring them in again."""
    return sa.exists().where(
        Enrolment.journey_id == journey.id, Enrolment.profile_id == profile_id, Enrolment.finished_at > at
    )


def _from_segment(
    work: Work, journey: Journey, version: JourneyVersion, graph: Graph, settings: SegmentTriggerSettings
) -> int:
    # Refreshes of a segment take turns and each has a later instant, so what was read once is complete.
    segment_id, refreshed = _segment(work, settings.segment)
    if refreshed <= journey.trigger_cursor:
        return 0
    at = sa.type_coerce(SegmentChange.at, sa.BigInteger)
    changes = work.session.execute(
        sa.select(SegmentChange.profile_id, SegmentChange.at)
        .where(
            SegmentChange.segment_id == segment_id,
            SegmentChange.entered.is_(True),
            at > journey.trigger_cursor,
            at <= refreshed,
            ~_under_way(journey, SegmentChange.profile_id, SegmentChange.at),
            *_late_enough(journey, graph, SegmentChange.profile_id, SegmentChange.at),
        )
        .order_by(SegmentChange.at)
    ).all()
    journey.trigger_cursor = refreshed
    return enrol(
        work,
        journey,
        version,
        graph,
        [profile_id for profile_id, _ in changes],
        [f"seg:{to_millis(at)}" for _, at in changes],
    )


def _late_enough(journey: Journey, graph: Graph, profile_id: Any, at: Any) -> list[sa.ColumnElement[bool]]:
    """Re-entry is judged by when the reason for it came up: one that was too early once stays too early."""
    if graph.reentry.policy != "after":
        return []
    earliest = sa.type_coerce(at, sa.BigInteger) - graph.reentry.days * DAY
    entered = sa.type_coerce(Enrolment.enrolled_at, sa.BigInteger)
    return [
        ~sa.exists().where(Enrolment.journey_id == journey.id, Enrolment.profile_id == profile_id, entered > earliest)
    ]


def _from_events(
    work: Work, journey: Journey, version: JourneyVersion, graph: Graph, settings: EventTriggerSettings
) -> int:
    code = codes.known_codes(work, codes.EVENT).get(settings.event)
    if code is None:
        return 0
    rows = work.session.execute(
        sa.select(Event.id, Event.profile_id)
        .where(
            Event.id > max(journey.trigger_cursor - OVERLAP, 0),
            Event.type_code == code,
            Event.profile_id.is_not(None),
            Event.at >= journey.listening_since,
            ~_under_way(journey, Event.profile_id, Event.at),
            *_late_enough(journey, graph, Event.profile_id, Event.at),
        )
        .order_by(Event.id)
    ).all()
    if not rows:
        return 0
    journey.trigger_cursor = max(journey.trigger_cursor, rows[-1][0])
    people = {profile_id: f"ev:{event_id}" for event_id, profile_id in rows if profile_id is not None}
    return enrol(work, journey, version, graph, list(people), list(people.values()))
