"""Two at once: the second waits for the first, and neither sees an error of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.audiences.model import ProfileTag, Score
from fairlead.audiences.scores import run_scoring
from fairlead.audiences.segments import create_segment, update_segment
from fairlead.audiences.tags import create_tag, refresh_tag, tag_profiles
from fairlead.errors import Conflict, Refusals
from fairlead.work import Work
from support.meeting import meet

EVERYBODY = {"bucket": {"salt": "", "from": 0, "to": 10_000}}


def both(place: Any, first: Callable[[Work], Any], second: Callable[[Work], Any]) -> tuple[Any, Any]:
    return meet(place.runtime.database, place.work, first, second)


def test_a_tag_is_put_on_once_by_two(place: Any, facts: Any) -> None:
    with place.work() as work:
        people = facts.people(work, 3)
        tag = create_tag(work, "all", rule=EVERYBODY).id

    def put_on(work: Work) -> int:
        return tag_profiles(work, tag, rule=EVERYBODY)

    assert both(place, put_on, put_on) == (3, 0)
    with place.work() as work:
        work.session.execute(sa.delete(ProfileTag))

    assert both(place, lambda work: refresh_tag(work, tag), lambda work: refresh_tag(work, tag)) == ((3, 0), (0, 0))
    with place.reading() as work:
        assert sorted(work.session.scalars(sa.select(ProfileTag.profile_id))) == people


def test_scores_of_two_runs_are_those_of_the_second(place: Any, facts: Any) -> None:
    with place.work() as work:
        people = facts.people(work, 2)
        for person in people:
            facts.event(work, person, "buy")

    first, second = both(
        place,
        lambda work: run_scoring(work, "sums", {"events": {"buy": None}}).mean,
        lambda work: run_scoring(work, "sums", {"events": {"buy": None}, "attributes": ["created_at"]}).mean,
    )

    assert (first, second) == (1.0, 2.0)
    with place.reading() as work:
        assert work.session.scalars(sa.select(Score.value)).all() == [2.0, 2.0]


@pytest.mark.parametrize(
    "create",
    [lambda work: create_segment(work, "all", "", EVERYBODY).id, lambda work: create_tag(work, "all").id],
    ids=["segment", "tag"],
)
def test_a_name_is_given_once(place: Any, create: Callable[[Work], int]) -> None:
    _, refused = both(place, create, create)
    assert isinstance(refused, Conflict)
    assert refused.path == ("name",)


def test_two_changes_make_no_circle_of_segments(place: Any) -> None:
    with place.work() as work:
        one, two = (create_segment(work, name, "", EVERYBODY).id for name in ("one", "two"))

    _, refused = both(
        place,
        lambda work: update_segment(work, one, rule={"segment": {"name": "two"}}),
        lambda work: update_segment(work, two, rule={"segment": {"name": "one"}}),
    )

    assert isinstance(refused, Refusals)
