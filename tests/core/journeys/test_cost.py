"""What entering and moving cost follows from who enters and moves, not from who was ever enrolled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from fairlead.customers.merging import merge_profiles
from fairlead.journeys.model import Enrolment, Journey
from fairlead.journeys.service import enrol_profiles
from support.plans import explained, steps_of


def on_enrolments(statement: str) -> bool:
    return "enrolment" in statement and statement.startswith(("SELECT", "UPDATE", "INSERT"))


def test_no_statement_walks_over_the_enrolments_of_a_client(shop: Callable[..., Any]) -> None:
    made = shop(6)

    with explained(made.runtime.database.engine, on_enrolments) as found:
        moved = made.advance()
        with made.runtime.work(made.client) as work:
            journey = work.session.scalars(sa.select(Journey.id)).one()
            enrol_profiles(work, journey, made.people)

    assert moved == 6
    steps = steps_of(found)
    updates = [step for statement, step in steps if statement.startswith("UPDATE enrolment")]
    assert updates
    walks = {step for _, step in steps if step.startswith("SCAN enrolment") or step.endswith("(client_id=?)")}
    assert not {step for step in walks if "enrolment" in step}


def test_whoever_was_merged_has_been_here_as_both(shop: Callable[..., Any]) -> None:
    made = shop(4)
    survivor, absorbed, outsider, _ = made.people
    with made.runtime.work(made.client) as work:
        journey = work.session.scalars(sa.select(Journey.id)).one()
        work.session.execute(sa.delete(Enrolment).where(Enrolment.profile_id.in_((survivor, outsider))))
        merge_profiles(work, [(survivor, absorbed)], rule="test", evidence=[{}])

    with made.runtime.work(made.client) as work:
        entered = enrol_profiles(work, journey, made.people)

    assert entered == 1
    with made.runtime.reading(made.client) as work:
        people = list(work.session.scalars(sa.select(Enrolment.profile_id)))
    assert people.count(outsider) == 1
    assert people.count(survivor) == 1, "the absorbed one's way goes on as the survivor's, and no second one begins"
