"""Scores: what the columns hold, that they are stored as computed, and that a bad scheme stores nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.audiences import features as features_module
from fairlead.audiences.model import Score
from fairlead.audiences.scores import run_scoring
from fairlead.audiences.segments import preview_segment
from fairlead.customers.model import Profile
from fairlead.errors import InvalidInput, NotFound, PluginOff, Refusals
from fairlead.plugins.errors import Abort

DAY = dt.timedelta(days=1)


def stored(work: Any) -> dict[int, float]:
    return {row.profile_id: row.value for row in work.session.execute(sa.select(Score.profile_id, Score.value))}


def parts_of(work: Any, profile_id: int) -> dict[str, float]:
    found: dict[str, float] = work.session.scalars(sa.select(Score.parts).where(Score.profile_id == profile_id)).one()
    return found


def test_events_are_counted_in_their_windows(place: Any, facts: Any) -> None:
    with place.reading() as work:
        one, two, three = facts.people(work, 3)
        for ago in (0 * DAY, 7 * DAY, 7 * DAY + dt.timedelta(milliseconds=1), -DAY):
            facts.event(work, one, "view", ago=ago)
        facts.event(work, two, "buy", ago=400 * DAY)
        facts.event(work, None, "buy")
        run = run_scoring(work, "sums", {"events": {"view": 7, "buy": None, "ghost": None}})
        assert (run.profiles, run.least, run.most) == (3, 0.0, 2.0)
        assert run.mean == pytest.approx(1.0)
        assert stored(work) == {one: 2.0, two: 1.0, three: 0.0}
        assert parts_of(work, one) == {"view": 2.0, "buy": 0.0, "ghost": 0.0}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"k": 2.5}, 2.5),
        ({"k": -3}, -3),
        ({"k": True}, 1),
        ({"k": False}, 0),
        ({"k": "Acme"}, 1),
        ({"k": ""}, 0),
        ({"k": None}, 0),
        ({}, 0),
        ({"k": ["a"]}, 1),
        ({"k": 1e301}, 1),
    ],
)
def test_an_attribute_is_its_number_or_whether_it_is_there(
    place: Any, facts: Any, attributes: dict[str, Any], expected: float
) -> None:
    with place.reading() as work:
        (one,) = facts.people(work, 1, attributes=attributes)
        run_scoring(work, "sums", {"attributes": ["k"]})
        assert stored(work) == {one: expected}


def test_columns_of_the_profile_count_too(place: Any, facts: Any) -> None:
    with place.reading() as work:
        born = dt.date(2000, 3, 2)
        (known,) = facts.people(work, 1, gender="female", language="", birth_date=born, attributes={"城市": 3})
        (bare,) = facts.people(work, 1)
        run_scoring(work, "sums", {"attributes": ["gender", "language", "birth_date", "age", "created_at", "城市"]})
        assert parts_of(work, known) == {
            "gender": 1,
            "language": 0,
            "birth_date": 1,
            "age": 25,
            "created_at": 1,
            "城市": 3,
        }
        assert stored(work)[bare] == 1.0
        with pytest.raises(InvalidInput):
            run_scoring(work, "sums", {"attributes": ["phone"]})


def test_a_second_run_replaces_the_first_and_forgets_who_is_gone(place: Any, facts: Any) -> None:
    with place.work() as work:
        one, two, gone = facts.people(work, 3)
        run_scoring(work, "sums", {"attributes": ["created_at"]})
        assert stored(work) == {one: 1.0, two: 1.0, gone: 1.0}
    with place.work() as work:
        work.session.execute(sa.update(Profile).where(Profile.id == gone).values(state="erased"))
        facts.event(work, two, "buy")
        assert run_scoring(work, "sums", {"events": {"buy": None}}).profiles == 2
        assert stored(work) == {one: 0.0, two: 1.0}
        rule = {"score": {"scheme": "sums", "op": "gte", "value": 1}}
        assert preview_segment(work, rule).sample == (two,)


def test_some_people_are_scored_and_the_others_keep_theirs(
    place: Any, facts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "PEOPLE_AT_ONCE", 2)
    with place.reading() as work:
        people = facts.people(work, 5)
        (merged,) = facts.people(work, 1, state="merged")
        run_scoring(work, "sums", {"attributes": ["created_at"]})
        for profile in people:
            facts.event(work, profile, "buy")
            facts.event(work, profile, "buy")
        chosen = [people[4], people[0], people[2], people[0], merged]
        assert run_scoring(work, "sums", {"events": {"buy": None}}, chosen).profiles == 3
        assert stored(work) == {person: 2.0 if person in chosen else 1.0 for person in people}


def test_more_features_than_fit_into_one_statement(place: Any, facts: Any) -> None:
    names = {f"e{at}": at + 1 for at in range(250)}
    with place.reading() as work:
        (one,) = facts.people(work, 1)
        for name in ("e0", "e99", "e100", "e249"):
            facts.event(work, one, name)
        run_scoring(work, "sums", {"events": names})
        assert stored(work) == {one: 4.0}


def test_nobody_to_score_is_no_error(place: Any) -> None:
    with place.reading() as work:
        run = run_scoring(work, "sums", {"events": {"buy": None}})
        assert (run.profiles, run.least, run.mean, run.most) == (0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("fault", ["raises", "infinite"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_scheme_that_fails_changes_nothing_and_tells_no_data(place: Any, facts: Any, fault: str) -> None:
    with place.reading() as work:
        (one,) = facts.people(work, 1)
        run_scoring(work, "sums", {"attributes": ["created_at"]})
        with pytest.raises(Abort, match="'sums'") as caught:
            run_scoring(work, "sums", {"attributes": ["created_at"], "fault": fault})
        assert "138" not in str(caught.value)
        assert stored(work) == {one: 1.0}


def test_settings_and_schemes_are_checked(place: Any) -> None:
    with place.reading() as work:
        with pytest.raises(Refusals) as caught:
            run_scoring(work, "sums", {"events": {"buy": "often"}})
        assert caught.value.errors[0].path[:2] == ("settings", "events")
        with pytest.raises(NotFound):
            run_scoring(work, "ghost", {})
    place.plugins = ()
    with place.reading() as work, pytest.raises(PluginOff):
        run_scoring(work, "sums", {})
