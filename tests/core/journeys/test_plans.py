"""Who is due is found through the index, however many people were ever on a journey."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.plans import explained


def test_every_look_for_due_people_uses_the_index(shop: Callable[..., Any]) -> None:
    made = shop(4)
    with explained(made.runtime.database.engine, looks_for_people) as found:
        made.advance()
    assert {statement.split()[0] for statement, _ in found} == {"SELECT", "INSERT"}, "the probe and the batch"
    for statement, plan in found:
        assert "ix_enrolment_due" in plan, (statement, plan)
        assert "TEMP B-TREE" not in plan, (statement, plan)


def looks_for_people(statement: str) -> bool:
    return "enrolment" in statement and ".due_at <= " in statement
