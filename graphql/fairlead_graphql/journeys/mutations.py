"""Changing journeys and putting people in."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
import strawberry

from fairlead.errors import InvalidInput
from fairlead.journeys import service
from fairlead.journeys.model import Journey as JourneyRow
from fairlead.work import Work
from fairlead_graphql.background import nudge
from fairlead_graphql.context import Context
from fairlead_graphql.ids import from_global
from fairlead_graphql.inputs import client_slug, errors, idempotency_key
from fairlead_graphql.journeys.graph_input import JourneyGraphInput, graph_json
from fairlead_graphql.journeys.loaders import JOURNEY
from fairlead_graphql.journeys.types import Journey
from fairlead_graphql.listing import read_one
from fairlead_graphql.mutation import Answer, UserError, client_mutation, done, or_none
from fairlead_graphql.policy import reached_with
from fairlead_graphql.selection import Selection

MOST_IDS = 250


@strawberry.input(description="A new journey.")
class CreateJourneyInput:
    """Input of ``createJourney``."""

    client: str = client_slug()
    name: str = strawberry.field(description="Its name in arguments, 1 to 80 characters, unique.")
    title: str | None = strawberry.field(
        default=strawberry.UNSET, description="Name for people; the name unless given."
    )
    graph: JourneyGraphInput = strawberry.field(description="Its first version.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A new version of a journey.")
class SaveJourneyVersionInput:
    """Input of ``saveJourneyVersion``."""

    client: str = client_slug()
    journey_id: strawberry.ID = strawberry.field(description="The journey.")
    graph: JourneyGraphInput = strawberry.field(description="The new version.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A journey to act on.")
class JourneyInput:
    """Input of ``activateJourney``, ``pauseJourney`` and ``archiveJourney``."""

    client: str = client_slug()
    journey_id: strawberry.ID = strawberry.field(description="The journey.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="People to put into a journey.")
class EnrolProfilesInput:
    """Input of ``enrolProfiles``."""

    client: str = client_slug()
    journey_id: strawberry.ID = strawberry.field(description="The journey; it must be active.")
    profile_ids: list[strawberry.ID] = strawberry.field(description="1 to 250 people.")
    idempotency_key: str | None = idempotency_key()


@reached_with("journeys:read")
@strawberry.type(description="Answer of a mutation that changes a journey.")
class JourneyPayload:
    """Payload with a journey."""

    journey: Journey | None = strawberry.field(description="The journey as it is now.")
    errors: list[UserError] = strawberry.field(
        description="Why it was refused; what is wrong with a graph names its node in the path. Empty when it was done."
    )


@reached_with("journeys:activate")
@strawberry.type(description="Answer of `enrolProfiles`.")
class EnrolProfilesPayload:
    """Payload of ``enrolProfiles``."""

    journey: Journey | None = strawberry.field(description="The journey as it is now.")
    enrolled: int | None = strawberry.field(
        description="How many entered; the others are on their way already, or the re-entry policy keeps them out."
    )
    errors: list[UserError] = errors()


def _show(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> Any:
    assert client_id is not None
    query = sa.select(JourneyRow).where(JourneyRow.id == answer["journey"])
    journey = read_one(context.work(client_id), JOURNEY, query, selection.below("journey"))
    if "enrolled" in answer:
        return done(EnrolProfilesPayload, journey=journey, enrolled=answer["enrolled"])
    return done(JourneyPayload, journey=journey)


def _show_moving(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> Any:
    assert client_id is not None
    nudge(context, client_id)
    return _show(context, client_id, answer, selection)


def _journey(given: SaveJourneyVersionInput | JourneyInput | EnrolProfilesInput) -> int:
    return from_global("Journey", given.journey_id, path=("journeyId",))


@strawberry.type
class JourneysMutation:
    """Mixed into ``Mutation``."""

    @client_mutation(
        "journeys:write", payload=JourneyPayload, present=_show, description="Draft a journey with its first version."
    )
    def create_journey(work: Work, given: CreateJourneyInput) -> Answer:
        title = or_none(given.title) or given.name
        return {"journey": service.create_journey(work, given.name, title, graph_json(given.graph)).id}

    @client_mutation(
        "journeys:write",
        payload=JourneyPayload,
        present=_show_moving,
        description="Save a new version. Who is under way stays on theirs; an active journey lets new people into this"
        " one at once, which needs journeys:activate as well.",
    )
    def save_journey_version(work: Work, given: SaveJourneyVersionInput) -> Answer:
        journey = service.get_journey(work, _journey(given))
        if journey.state == "active":
            work.actor.require("journeys:activate", work.client_id)
        service.save_version(work, journey.id, graph_json(given.graph))
        return {"journey": journey.id}

    @client_mutation(
        "journeys:activate",
        payload=JourneyPayload,
        present=_show_moving,
        description="Let people enter and move, for the first time or after a pause.",
    )
    def activate_journey(work: Work, given: JourneyInput) -> Answer:
        return {"journey": service.activate_journey(work, _journey(given)).id}

    @client_mutation(
        "journeys:activate",
        payload=JourneyPayload,
        present=_show,
        description="Stop everybody where they are. Nobody enters or moves until it is activated again.",
    )
    def pause_journey(work: Work, given: JourneyInput) -> Answer:
        return {"journey": service.pause_journey(work, _journey(given)).id}

    @client_mutation(
        "journeys:activate",
        payload=JourneyPayload,
        present=_show,
        description="End a journey for good: whoever is under way leaves it.",
    )
    def archive_journey(work: Work, given: JourneyInput) -> Answer:
        return {"journey": service.archive_journey(work, _journey(given)).id}

    @client_mutation(
        "journeys:activate",
        payload=EnrolProfilesPayload,
        present=_show_moving,
        description="Put people into an active journey by hand.",
    )
    def enrol_profiles(work: Work, given: EnrolProfilesInput) -> Answer:
        if not 1 <= len(given.profile_ids) <= MOST_IDS:
            raise InvalidInput(f"give 1 to {MOST_IDS} people", path=("profileIds",), next_step="enrol them in parts")
        numbers = [from_global("Profile", one, path=("profileIds", at)) for at, one in enumerate(given.profile_ids)]
        journey = _journey(given)
        return {"journey": journey, "enrolled": service.enrol_profiles(work, journey, numbers)}
