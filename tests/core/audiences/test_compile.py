"""What the compiled statement looks like: inside its client everywhere, on the indexes, and sound at the limits."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fairlead.audiences.checks import prepare_rule
from fairlead.audiences.compile import MOST_JOINS, condition, members, statement
from fairlead.audiences.model import ProfileTag, Score, Segment, Tag
from fairlead.audiences.segments import create_segment, find_segment, refresh_segment
from fairlead.audiences.tags import create_tag
from fairlead.customers.model import Profile
from fairlead.errors import LimitReached, Refusals
from fairlead.plugins.errors import Abort
from fairlead.storage.scope import AgencyScope

COUNT = {"function": "count", "op": "gte", "value": 2}
FACTS: list[dict[str, Any]] = [
    {"fact": {"type": "buy"}},
    {"fact": {"type": "buy", "did": False, "window": {"within_days": 30}}},
    {"fact": {"type": "buy", "aggregate": COUNT}},
    {"fact": {"type": "touch", "aggregate": COUNT}},
    {"order": {"aggregate": {"function": "sum", "op": "gte", "value": 100}}},
    {"order": {"where": [{"field": "item", "op": "eq", "value": "tea"}]}},
]
LEAVES = [
    *FACTS,
    {"attribute": {"name": "city", "op": "eq", "value": "x"}},
    {"tag": {"name": "vip"}},
    {"score": {"scheme": "lead", "op": "gte", "value": 1}},
    {"stage": {"in": ["new"]}},
    {"consent": {"purpose": "marketing", "channel": "email"}},
    {"identity": {"kind": "phone"}},
]
EVERYTHING = {"all": LEAVES}


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
def test_every_subquery_names_the_client(place: Any, facts: Any, grouped: bool, dialect: sa.Dialect) -> None:
    with place.reading() as work:
        facts.event(work, None, "buy")
        prepared = prepare_rule(work, EVERYTHING)
        text = str(
            statement(prepared, grouped=grouped).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        )
    tables = re.findall(r"(?:FROM|JOIN) (\w+)\b", text)
    clients = re.findall(r"(\w+)\.client_id = (\d+)", text)
    assert len(tables) > len(LEAVES)
    assert sorted(tables) == sorted(table for table, _ in clients)
    assert {number for _, number in clients} == {str(place.client_id)}


@pytest.mark.parametrize("rule", FACTS)
@pytest.mark.parametrize("grouped", [False, True])
def test_facts_are_found_by_an_index_on_sqlite(place: Any, facts: Any, rule: dict[str, Any], grouped: bool) -> None:
    with place.reading() as work:
        if work.session.is_postgresql:
            pytest.skip("the plan is SQLite's")
        facts.event(work, None, "buy")
        query = statement(prepare_rule(work, rule), grouped=grouped)
        text = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in work.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    steps = [step for step in plan if re.search(r"\b(event|orders|touch|order_line)\b", step)]
    assert steps
    assert all(("SEARCH" in step and "client_id=?" in step) or "order_id=?" in step for step in steps), plan
    if not grouped or "aggregate" not in str(rule):
        assert any("profile_id=?" in step for step in steps), plan
    if "buy" in str(rule):
        assert any("ix_event_type" in step and "type_code=?" in step for step in steps), plan


def test_other_clients_rows_never_count(place: Any, facts: Any) -> None:
    with place.work() as work:
        (mine,) = facts.people(work, 1)
        facts.event(work, None, "buy")
        work.session.add(Tag(name="vip", created_at=work.now))
    with place.work(client=place.other_id) as work:
        facts.people(work, 3)
    with place.runtime.database.write(AgencyScope("rows that could never be written otherwise")) as session:
        tag = Tag(id=10**9, client_id=place.other_id, name="vip", created_at=place.now[0])
        session.add(tag)
        session.flush()
        shared = {"client_id": place.other_id, "profile_id": mine}
        session.add(ProfileTag(tag_id=tag.id, at=place.now[0], source="", **shared))
        session.add(Score(scheme="lead", value=5, parts={}, at=place.now[0], **shared))
    with place.reading() as work:
        for rule in ({"tag": {"name": "vip"}}, {"score": {"scheme": "lead", "op": "exists"}}):
            assert work.session.scalars(members(work, rule)).all() == []
        assert work.session.scalars(members(work, {"bucket": {"salt": "", "from": 0, "to": 10_000}})).all() == [mine]


def test_only_active_profiles_are_in_an_audience(place: Any, facts: Any) -> None:
    everybody = {"bucket": {"salt": "", "from": 0, "to": 10_000}}
    with place.reading() as work:
        active = facts.people(work, 2)
        for state in ("merged", "restricted", "erased"):
            facts.people(work, 1, state=state)
        assert sorted(work.session.scalars(members(work, everybody))) == active
        some = sa.select(Profile.id).where(Profile.id == active[0])
        assert work.session.scalars(members(work, everybody, among=some)).all() == active[:1]


def test_windows_hold_to_the_millisecond(place: Any, facts: Any) -> None:
    day, ms = dt.timedelta(days=7), dt.timedelta(milliseconds=1)
    with place.reading() as work:
        inside, outside, now, future = facts.people(work, 4)
        for profile, ago in ((inside, day), (outside, day + ms), (now, 0 * ms), (future, -ms)):
            facts.event(work, profile, "buy", ago=ago)
        rule = {"fact": {"type": "buy", "window": {"within_days": 7}}}
        assert sorted(work.session.scalars(members(work, rule))) == [inside, now]
        assert sorted(work.session.scalars(members(work, {"fact": {"type": "buy"}}))) == [inside, outside, now]


def test_nobody_and_everybody_for_a_type_that_never_occurred(place: Any, facts: Any) -> None:
    with place.reading() as work:
        people = facts.people(work, 2)
        few = {"fact": {"type": "ghost", "aggregate": {"function": "count", "op": "lt", "value": 1}}}
        for rule, expected in (
            ({"fact": {"type": "ghost"}}, []),
            ({"fact": {"type": "ghost", "did": False}}, people),
            (few, people),
            ({"none": [few]}, []),
        ):
            for grouped in (False, True):
                found = work.session.scalars(statement(prepare_rule(work, rule), grouped=grouped))
                assert sorted(found) == expected


def test_money_of_another_currency_is_never_added(place: Any, facts: Any) -> None:
    total = {"aggregate": {"function": "sum", "op": "gte", "value": 150}}
    with place.reading() as work:
        home, abroad = facts.people(work, 2)
        facts.order(work, home, "tea", amount=100)
        facts.order(work, home, "cup", amount=100, currency="USD")
        facts.order(work, abroad, "cup", amount=200, currency="USD")
        assert work.session.scalars(members(work, {"order": total})).all() == []
        dollars = {"order": {"currency": "USD", **total}}
        assert work.session.scalars(members(work, dollars)).all() == [abroad]
        assert sorted(work.session.scalars(members(work, {"order": {}}))) == [home, abroad]


def test_the_largest_rule_runs(place: Any, facts: Any) -> None:
    leaf = {"attribute": {"name": "k", "op": "in", "value": [f"v{at}" for at in range(30)]}}
    counted = {"fact": {"type": "buy", "aggregate": COUNT}}
    rule: dict[str, Any] = {"any": [leaf] * 240 + [counted]}
    for _ in range(9):
        rule = {"none": [rule, *[{"tag": {"name": "x"}}] * 20]}
    with place.reading() as work:
        people = facts.people(work, 3)
        facts.event(work, people[0], "buy")
        assert sorted(work.session.scalars(members(work, rule))) == people


def in_segments(work: Any, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each rule made a segment, and a condition on it."""
    known = work.session.scalar(sa.select(sa.func.count(Segment.id)))
    names = [f"s{known + number}" for number in range(len(rules))]
    for name, rule in zip(names, rules, strict=True):
        create_segment(work, name, "", rule)
    return [{"segment": {"name": name}} for name in names]


def test_a_long_chain_of_opened_segments_runs(place: Any, facts: Any) -> None:
    leaf = {"attribute": {"name": "k", "op": "eq", "value": "v"}}
    with place.reading() as work:
        (one, _) = facts.people(work, 1, attributes={"k": "v"}) + facts.people(work, 1)
        opened = in_segments(work, [{"any": [leaf] * 240}] * 6)
        assert work.session.scalars(members(work, {"any": opened})).all() == [one]
        assert work.session.scalars(members(work, {"all": [leaf, {"all": opened}]})).all() == [one]


def test_the_deepest_rule_with_its_segments_opened_runs(place: Any, facts: Any) -> None:
    tag = [{"tag": {"name": "x"}}]
    where = [{"property": "p", "op": "eq", "value": at} for at in range(200)]
    deep: dict[str, Any] = {"order": {"where": where}}
    other: dict[str, Any] = {"order": {}}
    with place.reading() as work:
        people = facts.people(work, 2)
        create_tag(work, "x")
        for width in (60, 60, 60, 60, 20, 20, 20, 20):
            deep, other = {"none": [other, *tag * width, deep]}, {"none": [other]}
        deep, other = in_segments(work, [deep, other])
        for _ in range(2):
            deep, other = {"none": [other, *tag * 100, deep]}, {"none": [other]}
        (whole,) = in_segments(work, [deep])
        name = whole["segment"]["name"]
        assert refresh_segment(work, find_segment(work, name).id).head_count in (0, len(people))
        with pytest.raises(Refusals, match="deeper than 10"):
            create_segment(work, "deeper", "", {"any": [whole]})


def test_segments_with_too_many_values_in_all_are_refused(place: Any) -> None:
    leaf = {"attribute": {"name": "k", "op": "in", "value": [f"v{at}" for at in range(250)]}}
    with place.reading() as work:
        first, second = in_segments(work, [{"any": [leaf] * 40}, {"any": [leaf] * 40}])
        with pytest.raises(Refusals, match="more than 20000 values") as caught:
            create_segment(work, "both", "", {"any": [first, second]})
        assert isinstance(caught.value.errors[0], LimitReached)
        create_segment(work, "one", "", {"any": [first, leaf]})


def test_many_aggregates_are_not_joined(place: Any, facts: Any) -> None:
    counted = [
        {"fact": {"type": "buy", "aggregate": {"function": "count", "op": "gte", "value": at}}}
        for at in range(1, MOST_JOINS + 2)
    ]
    with place.reading() as work:
        facts.event(work, None, "buy")
        joined = str(statement(prepare_rule(work, {"any": counted[:-1]}), grouped=True))
        assert joined.count("LEFT OUTER JOIN") == MOST_JOINS
        assert "JOIN" not in str(statement(prepare_rule(work, {"any": counted}), grouped=True))


def test_the_bare_condition_stands_in_another_statement(place: Any, facts: Any) -> None:
    with place.reading() as work:
        one, two = facts.people(work, 2)
        facts.event(work, one, "buy")
        holds = condition(prepare_rule(work, {"fact": {"type": "buy", "aggregate": COUNT | {"value": 1}}}))
        rows = work.session.execute(sa.select(Profile.id, holds).order_by(Profile.id)).all()
        assert [tuple(row) for row in rows] == [(one, True), (two, False)]


def test_an_operator_that_fails_is_named_and_its_text_is_not(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.reading() as work:
        operator = work.plugins.rule_operator("odd_ids").thing
        prepared = prepare_rule(work, {"operator": {"name": "odd_ids"}})

        def fail(*_: object) -> None:
            raise ValueError("13800138000")

        monkeypatch.setattr(type(operator), "compile", fail)
        with pytest.raises(Abort, match="'odd_ids' failed with ValueError") as caught:
            members(work, prepared)
        assert "13800138000" not in str(caught.value)
