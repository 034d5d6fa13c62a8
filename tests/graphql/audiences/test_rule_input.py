"""The typed rule input is the rule language, key by key, and its mistakes are told by their place in the input."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from fairlead.audiences.conditions import Frozen
from fairlead.audiences.rules import GROUPS, KEYS, LEAVES
from fairlead.audiences.values import Op
from fairlead_graphql.policy import camel
from fairlead_graphql.schema import build_schema, sdl
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type

SCHEMA = build_schema()._schema

PREVIEW = """
query ($rule: RuleInput!, $sample: Int! = 10) {
  client(slug: "acme") { previewSegment(rule: $rule, sample: $sample) { headCount headCountIsExact sample { id } } }
}
"""


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation mentions."""
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        return [model for part in get_args(annotation) for model in models_in(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def assert_same(kind: GraphQLInputObjectType, model: type[BaseModel]) -> None:
    names = {camel(field.alias or name): field for name, field in model.model_fields.items()}
    assert set(kind.fields) == set(names), kind.name
    for name, field in names.items():
        inner = get_named_type(kind.fields[name].type)
        for part in models_in(field.annotation):
            assert isinstance(inner, GraphQLInputObjectType), f"{kind.name}.{name}"
            assert_same(inner, part)


def test_the_input_has_the_keys_of_the_language() -> None:
    rule = SCHEMA.type_map["RuleInput"]
    assert isinstance(rule, GraphQLInputObjectType)
    assert "input RuleInput @oneOf {" in sdl()
    assert set(rule.fields) == set(KEYS)
    for key in GROUPS:
        assert str(rule.fields[key].type) == "[RuleInput!]"
    for key, node in LEAVES.items():
        inner = get_named_type(rule.fields[key].type)
        assert isinstance(inner, GraphQLInputObjectType)
        test: type[Frozen] = node.model_fields[key].annotation  # type: ignore[assignment]
        assert_same(inner, test)


def test_comparisons_are_those_of_the_language() -> None:
    op = SCHEMA.type_map["RuleOp"]
    assert isinstance(op, GraphQLEnumType)
    assert set(op.values) == {one.value.upper() for one in Op}


BOUGHT = {"type": "cart", "window": {"withinDays": 7}, "where": [{"field": "item", "op": "IN", "value": ["item-0"]}]}
BUSY = {"type": "view", "aggregate": {"function": "COUNT", "op": "GTE", "value": 1}, "window": {"ever": True}}
SPAN = {"between": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00+08:00"}}


MEANINGS: list[tuple[dict[str, Any], int]] = [
    ({"fact": BOUGHT}, 1),
    ({"none": [{"fact": BOUGHT}]}, 2),
    ({"all": [{"fact": BUSY}, {"any": [{"fact": BOUGHT}, {"identity": {"kind": "wechat_openid"}}]}]}, 1),
    ({"fact": {"type": "view", "did": False}}, 0),
    ({"order": {"status": ["PAID"], "aggregate": {"function": "SUM", "op": "GT", "value": 1001}}}, 1),
    ({"order": {"window": SPAN}}, 3),
    ({"identity": {"kind": "email"}}, 3),
    ({"bucket": {"salt": "s", "from": 0, "to": 10000}}, 3),
    ({"attribute": {"name": "gender", "op": "MISSING"}}, 3),
    ({"attribute": {"name": "vip", "op": "EQ", "value": True}}, 0),
    ({"consent": {"purpose": "marketing"}}, 0),
    ({"region": {"within": "44"}}, 0),
]


def test_rules_mean_what_the_language_means(world: Any) -> None:
    for rule, people in MEANINGS:
        shown = world.data("admin", PREVIEW, rule=rule)["client"]["previewSegment"]
        assert (shown["headCount"], shown["headCountIsExact"]) == (people, True), rule
        assert len(shown["sample"]) == people


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"all": [{"fact": {"type": "view", "window": {"withinDays": 0}}}]}, "all 0 fact window withinDays"),
    ({"any": [{"attribute": {"name": "age", "op": "EQ", "value": "old"}}]}, "any 0 attribute value"),
    ({"none": []}, "none"),
    ({"tag": {"name": "unheard_of"}}, "tag name"),
    ({"bucket": {"salt": "s", "from": 5, "to": 5}}, "bucket"),
    ({"stage": {"in": ["new"]}}, "stage in"),
    ({"operator": {"name": "unheard_of", "arguments": {}}}, "operator"),
    ({"all": [{"identity": {"kind": "a"}}, {"any": [{"fact": {"type": "no"}}]}]}, "all 1 any 0 fact type"),
]


def test_mistakes_are_told_by_their_place(world: Any) -> None:
    for rule, path in MISTAKES:
        (error,) = world.gql("admin", PREVIEW, rule=rule)["errors"]
        told = [str(step) for step in error["extensions"]["path"]]
        assert told[: 1 + len(path.split())] == ["rule", *path.split()], rule
        assert error["extensions"]["code"] in ("BAD_USER_INPUT", "NOT_FOUND")


UNFIT: list[dict[str, Any]] = [
    {},
    {"tag": {"name": "a"}, "identity": {"kind": "email"}},
    {"attribute": {"name": "vip", "op": "EQ", "value": {"nested": 1}}},
    {"attribute": {"name": "vip", "op": "IN", "value": [["nested"]]}},
    {"attribute": {"name": "vip", "op": "LIKE", "value": "x"}},
]


def test_what_the_types_refuse_never_reaches_a_resolver(world: Any) -> None:
    for rule in UNFIT:
        (error,) = world.gql("admin", PREVIEW, rule=rule)["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT", rule
        assert "nested" not in error["message"]
