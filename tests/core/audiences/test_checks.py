"""Names a client does not have, circles of segments, and conditions that somebody may not ask."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.audiences.checks import check_rule, prepare_rule
from fairlead.audiences.model import Segment
from fairlead.audiences.rules import parse_rule
from fairlead.audiences.segments import archive_segment, create_segment, update_segment
from fairlead.audiences.tags import create_tag
from fairlead.errors import Conflict, Forbidden, InvalidInput, LimitReached, NotFound, PluginOff, Refusals
from fairlead.governance.permissions import Principal

EVERYBODY = {"bucket": {"salt": "", "from": 0, "to": 10_000}}


def person(*permissions: str, client_id: int) -> Principal:
    return Principal(1, 1, 1, "someone", at={client_id: frozenset(permissions)})


@pytest.mark.parametrize(
    ("rule", "path", "error"),
    [
        ({"fact": {"type": "ghost"}}, ("fact", "type"), InvalidInput),
        (
            {"order": {"where": [{"field": "channel", "op": "in", "value": ["tmall", "ghost"]}]}},
            ("order", "where", 0, "value"),
            InvalidInput,
        ),
        ({"tag": {"name": "ghost"}}, ("tag", "name"), InvalidInput),
        ({"segment": {"name": "ghost"}}, ("segment", "name"), NotFound),
        ({"score": {"scheme": "ghost", "op": "exists"}}, ("score", "scheme"), InvalidInput),
        ({"consent": {"purpose": "ghost"}}, ("consent", "purpose"), InvalidInput),
        ({"operator": {"name": "ghost"}}, ("operator",), NotFound),
        (
            {"operator": {"name": "odd_ids", "arguments": {"odd": "perhaps"}}},
            ("operator", "arguments", "odd"),
            InvalidInput,
        ),
        ({"attribute": {"name": "Phone", "op": "exists"}}, ("attribute", "name"), Forbidden),
        ({"stage": {"in": ["ghost"]}}, ("stage", "in"), InvalidInput),
        (
            {"order": {"where": [{"property": "Email", "op": "exists"}]}},
            ("order", "where", 0, "property"),
            Forbidden,
        ),
    ],
)
def test_unknown_names_are_refused_where_they_stand(
    place: Any, facts: Any, rule: dict[str, Any], path: tuple[str | int, ...], error: type[Exception]
) -> None:
    with place.reading() as work:
        facts.event(work, None, "buy")
        create_tag(work, "vip")
        create_segment(work, "all", "", EVERYBODY)
        known = [{"fact": {"type": "buy"}}, {"fact": {"type": "touch"}}, {"tag": {"name": "vip"}}]
        known += [{"segment": {"name": "all"}}, {"score": {"scheme": "sums", "op": "exists"}}]
        known += [{"consent": {"purpose": "marketing"}}, {"operator": {"name": "odd_ids"}}]
        with pytest.raises(Refusals) as caught:
            check_rule(work, {"all": [*known, rule]})
        assert [(type(one), one.path) for one in caught.value.errors] == [(error, ("all", len(known), *path))]
        assert all(one.next_step for one in caught.value.errors)


def test_an_operator_that_is_off_for_the_client_is_refused(place: Any) -> None:
    place.plugins = ()
    with place.reading() as work:
        with pytest.raises(Refusals) as caught:
            check_rule(work, {"none": [{"operator": {"name": "odd_ids"}}]})
        assert [(type(one), one.path) for one in caught.value.errors] == [(PluginOff, ("none", 0, "operator"))]
        with pytest.raises(PluginOff):
            prepare_rule(work, {"operator": {"name": "odd_ids"}})


def test_segments_may_use_segments_but_not_in_a_circle(place: Any) -> None:
    with place.reading() as work:
        first = create_segment(work, "first", "", EVERYBODY)
        create_segment(work, "second", "", {"segment": {"name": "first"}})
        create_segment(work, "third", "", {"none": [{"segment": {"name": "second"}}]})
        for rule in ({"segment": {"name": "first"}}, {"all": [EVERYBODY, {"segment": {"name": "third"}}]}):
            with pytest.raises(Refusals) as caught:
                update_segment(work, first.id, rule=rule)
            assert all(isinstance(one, Conflict) and "itself" in one.message for one in caught.value.errors)
        with pytest.raises(Conflict, match="used by second"):
            archive_segment(work, first.id)


def test_a_circle_that_got_in_past_the_checks_does_not_run(place: Any) -> None:
    with place.reading() as work:
        for name, other in (("a", "b"), ("b", "a")):
            rule = {"segment": {"name": other}}
            work.session.add(Segment(name=name, title="", rule=rule, created_at=work.now, changed_at=work.now))
        work.session.flush()
        with pytest.raises(Refusals) as caught:
            prepare_rule(work, {"segment": {"name": "a"}})
        assert isinstance(caught.value.errors[0], Conflict)


def test_segments_that_double_with_each_step_are_refused(place: Any) -> None:
    with place.reading() as work:
        create_segment(work, "s0", "", EVERYBODY)
        for step in range(1, 6):
            before = {"segment": {"name": f"s{step - 1}"}}
            create_segment(work, f"s{step}", "", {"any": [before, before, before]})
        for thrice in ([{"segment": {"name": "s5"}}] * 4, [{"segment": {"name": "s5"}}] * 9):
            with pytest.raises(Refusals) as caught:
                create_segment(work, "too much", "", {"any": thrice})
            assert isinstance(caught.value.errors[0], LimitReached)


def test_an_archived_segment_is_not_used_in_new_rules(place: Any) -> None:
    with place.reading() as work:
        old = create_segment(work, "old", "", EVERYBODY)
        archive_segment(work, old.id)
        with pytest.raises(Refusals):
            check_rule(work, {"segment": {"name": "old"}})
        assert prepare_rule(work, {"segment": {"name": "old"}}).segments.keys() == {"old"}


@pytest.mark.parametrize("name", ["name", "Phone", "email", "ADDRESS"])
def test_a_sealed_value_can_be_asked_for_by_nobody(place: Any, name: str) -> None:
    rule = parse_rule({"none": [{"attribute": {"name": name, "op": "starts_with", "value": "138"}}]})
    with place.reading() as work:
        with pytest.raises(Refusals) as caught:
            check_rule(work, rule)
        assert isinstance(caught.value.errors[0], Forbidden)
        assert caught.value.errors[0].path == ("none", 0, "attribute", "name")
        with pytest.raises(Refusals):
            prepare_rule(work, rule)


@pytest.mark.parametrize(
    "rule",
    [
        *({"attribute": {"name": name, "op": "exists"}} for name in ("gender", "age", "birth_date")),
        {"order": {"where": [{"property": "Gender", "op": "exists"}]}},
    ],
)
def test_personal_values_need_the_permission_to_read_profiles(place: Any, rule: dict[str, Any]) -> None:
    client = place.client_id
    with place.reading(person("profiles:read", client_id=client)) as work:
        check_rule(work, rule)
    for permissions, at in ((("segments:write",), client), (("profiles:read",), place.other_id)):
        with place.reading(person(*permissions, client_id=at)) as work, pytest.raises(Refusals) as caught:
            check_rule(work, rule)
        assert isinstance(caught.value.errors[0], Forbidden)


def test_a_segment_is_no_way_round_the_permission(place: Any) -> None:
    with place.work() as work:
        create_segment(work, "women", "", {"attribute": {"name": "gender", "op": "eq", "value": "female"}})
        create_segment(work, "wrapped", "", {"segment": {"name": "women"}})
    blind = person("segments:read", "segments:write", client_id=place.client_id)
    for name in ("women", "wrapped"):
        with place.reading(blind) as work, pytest.raises(Refusals) as caught:
            check_rule(work, {"any": [{"segment": {"name": name}}]})
        assert [(type(one), one.path) for one in caught.value.errors] == [(Forbidden, ("any", 0, "segment"))]
