"""The shape of the rule language: what parses, what is refused and where, and that it comes back as it went in."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.audiences.rules import dump_rule, parse_rule
from fairlead.errors import Refusals

TAG = {"tag": {"name": "vip"}}
WHOLE: dict[str, Any] = {
    "all": [
        {"attribute": {"name": "age", "op": "between", "value": [25, 30]}},
        {"attribute": {"name": "城市", "op": "in", "value": ["上海", 1, True]}},
        {
            "fact": {
                "type": "cart",
                "aggregate": {"function": "sum", "of": "amount", "op": "gte", "value": 5000},
                "window": {"within_days": 30},
                "where": [
                    {"field": "channel", "op": "eq", "value": "tmall"},
                    {"property": "价格", "op": "gte", "value": 3.5},
                ],
            }
        },
        {"any": [{"order": {"did": False, "status": ["paid"]}}, {"segment": {"name": "buyers"}}]},
        {"none": [TAG, {"score": {"scheme": "lead", "op": "lt", "value": 80}}]},
        {"stage": {"in": ["new"]}},
        {"consent": {"purpose": "marketing", "channel": "email"}},
        {"identity": {"kind": "phone"}},
        {"region": {"within": "44"}},
        {"bucket": {"salt": "x", "from": 0, "to": 1000}},
        {"operator": {"name": "odd_ids", "arguments": {"odd": False}}},
    ]
}


def refusals(rule: object) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(Refusals) as caught:
        parse_rule(rule)
    assert all(error.next_step for error in caught.value.errors)
    return [(error.path, error.message) for error in caught.value.errors]


def test_a_tree_comes_back_as_it_went_in() -> None:
    rule = parse_rule(WHOLE)
    assert dump_rule(rule) == WHOLE
    assert parse_rule(dump_rule(rule)) == rule
    assert parse_rule(rule) is rule


def test_names_as_graphql_spells_them_and_instants_of_any_zone_have_one_stored_form() -> None:
    rule = parse_rule({"fact": {"type": "buy", "window": {"withinDays": 7}}})
    assert dump_rule(rule) == {"fact": {"type": "buy", "window": {"within_days": 7}}}
    rule = parse_rule({"fact": {"type": "buy", "window": {"since": "2026-01-01T00:00:00.123456+08:00"}}})
    assert dump_rule(rule)["fact"]["window"] == {"since": "2025-12-31T16:00:00.123000+00:00"}


def test_a_tree_cannot_be_changed() -> None:
    rule = parse_rule(TAG)
    with pytest.raises(Exception, match="frozen"):
        rule.tag = None  # type: ignore[assignment, union-attr]


@pytest.mark.parametrize(
    ("rule", "path", "word"),
    [
        ({}, (), "exactly one key"),
        ({**TAG, "stage": {"in": ["a"]}}, (), "exactly one key"),
        ({"all": []}, ("all",), "empty"),
        ({"any": [TAG, {"nobody": 1}]}, ("any", 1), "exactly one key"),
        ({"tag": {"name": "a", "extra": 1}}, ("tag", "extra"), "not permitted"),
        ({"attribute": {"name": "age", "op": "eq", "value": "25"}}, ("attribute", "value"), "whole number"),
        ({"attribute": {"name": "age", "op": "eq", "value": True}}, ("attribute", "value"), "whole number"),
        ({"attribute": {"name": "age", "op": "contains", "value": "2"}}, ("attribute", "value"), "not a comparison"),
        ({"attribute": {"name": "k", "op": "gt", "value": True}}, ("attribute", "value"), "no order"),
        ({"attribute": {"name": "k", "op": "eq", "value": 1e300}}, ("attribute", "value"), "too large"),
        ({"attribute": {"name": "k", "op": "eq", "value": 10**300}}, ("attribute", "value"), "too large"),
        ({"attribute": {"name": "age", "op": "eq", "value": 10**17}}, ("attribute", "value"), "too large"),
        ({"attribute": {"name": "k", "op": "eq", "value": float("nan")}}, ("attribute", "value"), "too large"),
        ({"attribute": {"name": "k", "op": "eq", "value": "a\0b"}}, ("attribute", "value"), "no database"),
        ({"attribute": {"name": "k", "op": "eq", "value": "\ud800"}}, ("attribute", "value"), "no database"),
        ({"attribute": {"name": 'a"b', "op": "exists"}}, ("attribute", "name"), "quotes"),
        ({"attribute": {"name": "k", "op": "in", "value": []}}, ("attribute", "value"), "at least one"),
        ({"attribute": {"name": "k", "op": "in", "value": list(range(251))}}, ("attribute", "value"), "at most 250"),
        ({"attribute": {"name": "k", "op": "between", "value": [2, 1]}}, ("attribute", "value"), "lowest"),
        ({"attribute": {"name": "k", "op": "between", "value": ["a", 1]}}, ("attribute", "value"), "lowest"),
        ({"attribute": {"name": "k", "op": "exists", "value": 1}}, ("attribute", "value"), "no value"),
        ({"attribute": {"name": "birth_date", "op": "lt", "value": "31.1.2026"}}, ("attribute", "value"), "date"),
        ({"attribute": {"name": "created_at", "op": "lt", "value": "2026-01-31"}}, ("attribute", "value"), "zone"),
        ({"fact": {"type": "a", "window": {"within_days": 0}}}, ("fact", "window", "within_days"), "greater"),
        ({"fact": {"type": "a", "window": {}}}, ("fact", "window"), "exactly one"),
        ({"fact": {"type": "a", "window": {"ever": True, "within_days": 1}}}, ("fact", "window"), "exactly one"),
        ({"fact": {"type": "a", "where": [{"field": "kind", "op": "eq", "value": "x"}]}}, ("fact",), "no kind"),
        ({"fact": {"type": "touch", "where": [{"property": "a", "op": "exists"}]}}, ("fact",), "no properties"),
        (
            {"fact": {"type": "touch", "aggregate": {"function": "sum", "op": "gt", "value": 1}}},
            ("fact",),
            "no amount",
        ),
        (
            {"fact": {"type": "a", "aggregate": {"function": "count", "op": "in", "value": [1]}}},
            ("fact", "aggregate", "op"),
            "compared by",
        ),
        ({"region": {"within": "444"}}, ("region", "within"), "GB/T 2260"),
        ({"bucket": {"salt": "", "from": 5, "to": 5}}, ("bucket",), "greater"),
        ({"order": {"status": ["lost"]}}, ("order", "status", 0), "created"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(rule: object, path: tuple[str | int, ...], word: str) -> None:
    found = refusals(rule)
    assert len(found) == 1
    assert found[0][0] == path
    assert word in found[0][1]


def test_all_mistakes_are_told_together() -> None:
    rule = {"all": [{"tag": {}}, {"any": [{"stage": {"in": []}}]}]}
    assert [path for path, _ in refusals(rule)] == [("all", 0, "tag", "name"), ("all", 1, "any", 0, "stage", "in")]


def nested(depth: int) -> dict[str, Any]:
    rule: dict[str, Any] = TAG
    for _ in range(depth):
        rule = {"all": [rule]}
    return rule


def test_groups_nest_ten_deep_and_no_deeper() -> None:
    parse_rule(nested(10))
    assert refusals(nested(11)) == [(("all", 0) * 10, "groups are nested deeper than 10")]


def test_lists_and_trees_are_bounded() -> None:
    parse_rule({"all": [TAG] * 250})
    assert refusals({"all": [TAG] * 251})[0][0] == ("all",)
    assert "more than 500" in refusals({"all": [{"any": [TAG] * 250}] * 3})[0][1]


def test_a_hostile_depth_is_refused_without_recursion() -> None:
    deep: Any = 1
    for _ in range(200_000):
        deep = [deep]
    assert "nested too deeply" in refusals({"operator": {"name": "x", "arguments": {"a": deep}}})[0][1]
    while isinstance(deep, list):  # taken apart by hand, since the collector would recurse
        deep = deep.pop()


def test_one_and_true_are_spelled_differently_though_equal() -> None:
    one, true = (parse_rule({"attribute": {"name": "k", "op": "eq", "value": value}}) for value in (1, True))
    assert one.attribute.spelled != true.attribute.spelled  # type: ignore[union-attr]
