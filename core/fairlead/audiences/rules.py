"""The rule language: one immutable tree that compiles to SQL for everybody and runs in memory for one person.

A node has exactly one key, as a GraphQL ``@oneOf`` input has: ``{"all": [{"tag": {"name": "vip"}}, …]}``. Keys of more
than one word are stored as ``within_days`` and also read as ``withinDays``. Parsing knows the shape and the values;
whether names exist for a client is the business of :func:`fairlead.audiences.checks.check_rule`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Union

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from fairlead.audiences.conditions import (
    WIDEST,
    AttributeTest,
    BucketTest,
    ConsentTest,
    Frozen,
    IdentityTest,
    OperatorTest,
    RegionTest,
    ScoreTest,
    SegmentTest,
    StageTest,
    TagTest,
)
from fairlead.audiences.happenings import FactTest, OrderTest
from fairlead.errors import InvalidInput, PathSegment, Refusals

DEEPEST = 10
DEEPEST_JSON = 60
MOST_CONDITIONS = 500
MOST_VALUES = 20_000
MOST_ERRORS = 20

# A rule with its segments opened is one statement: SQLite holds about 100 open symbols while it parses, of which a
# group takes two to five, and PostgreSQL takes 65,535 parameters, of which a value needs up to three.
DEEPEST_OPENED = 10
MOST_OPENED_CONDITIONS = 2000
MOST_NESTED_SEGMENTS = 10


class All(Frozen):
    """Every part holds."""

    all: tuple[Rule, ...] = Field(min_length=1, max_length=WIDEST)


class AnyOf(Frozen):
    """At least one part holds."""

    any: tuple[Rule, ...] = Field(min_length=1, max_length=WIDEST)


class NoneOf(Frozen):
    """No part holds."""

    none: tuple[Rule, ...] = Field(min_length=1, max_length=WIDEST)


class AttributeNode(Frozen):
    """A condition on an attribute."""

    attribute: AttributeTest


class FactNode(Frozen):
    """A condition on events, touches or orders."""

    fact: FactTest


class OrderNode(Frozen):
    """A condition on orders."""

    order: OrderTest


class TagNode(Frozen):
    """A condition on a tag."""

    tag: TagTest


class SegmentNode(Frozen):
    """A condition that is another segment."""

    segment: SegmentTest


class ScoreNode(Frozen):
    """A condition on a score."""

    score: ScoreTest


class StageNode(Frozen):
    """A condition on the life-cycle stage."""

    stage: StageTest


class ConsentNode(Frozen):
    """A condition on consent."""

    consent: ConsentTest


class IdentityNode(Frozen):
    """A condition on identities."""

    identity: IdentityTest


class RegionNode(Frozen):
    """A condition on the region."""

    region: RegionTest


class BucketNode(Frozen):
    """A stable random part."""

    bucket: BucketTest


class OperatorNode(Frozen):
    """A plugin's condition."""

    operator: OperatorTest


GROUPS: Mapping[str, type[Frozen]] = {"all": All, "any": AnyOf, "none": NoneOf}
LEAVES: Mapping[str, type[Frozen]] = {
    "attribute": AttributeNode,
    "fact": FactNode,
    "order": OrderNode,
    "tag": TagNode,
    "segment": SegmentNode,
    "score": ScoreNode,
    "stage": StageNode,
    "consent": ConsentNode,
    "identity": IdentityNode,
    "region": RegionNode,
    "bucket": BucketNode,
    "operator": OperatorNode,
}
KEYS = (*GROUPS, *LEAVES)


def _only_key(value: Any) -> str | None:
    if isinstance(value, Frozen):
        return next(iter(type(value).model_fields))
    if isinstance(value, Mapping) and len(value) == 1:
        (key,) = value
        return key if key in KEYS else None
    return None


Rule = Annotated[
    Union[  # noqa: UP007 -- pydantic needs the tags inside
        Annotated[All, Tag("all")],
        Annotated[AnyOf, Tag("any")],
        Annotated[NoneOf, Tag("none")],
        Annotated[AttributeNode, Tag("attribute")],
        Annotated[FactNode, Tag("fact")],
        Annotated[OrderNode, Tag("order")],
        Annotated[TagNode, Tag("tag")],
        Annotated[SegmentNode, Tag("segment")],
        Annotated[ScoreNode, Tag("score")],
        Annotated[StageNode, Tag("stage")],
        Annotated[ConsentNode, Tag("consent")],
        Annotated[IdentityNode, Tag("identity")],
        Annotated[RegionNode, Tag("region")],
        Annotated[BucketNode, Tag("bucket")],
        Annotated[OperatorNode, Tag("operator")],
    ],
    Discriminator(
        _only_key,
        custom_error_type="rule",
        custom_error_message=f"a condition is an object with exactly one key, one of {', '.join(KEYS)}",
    ),
]

for _group in GROUPS.values():
    _group.model_rebuild()
_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


def parse_rule(data: object) -> Rule:
    """The tree behind its JSON form; a tree is returned as it is.

    Raise :class:`~fairlead.errors.Refusals` with the path of each mistake.
    """
    if isinstance(data, Frozen) and type(data) in (*GROUPS.values(), *LEAVES.values()):
        return data  # type: ignore[return-value]
    _bounded(data)
    try:
        return _RULE.validate_python(data)
    except ValidationError as error:
        raise Refusals(_refusals(error)) from None


def dump_rule(rule: Rule) -> dict[str, Any]:
    """The one JSON form of a tree: what is stored, and what parses to an equal tree."""
    return rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def content(rule: Rule) -> Any:
    """What stands under the node's only key: a tuple of rules in a group, else the test."""
    return getattr(rule, key_of(rule))


def key_of(rule: Rule) -> str:
    """The node's only key."""
    return next(iter(type(rule).model_fields))


def walk(rule: Rule, path: tuple[PathSegment, ...] = ()) -> Iterator[tuple[tuple[PathSegment, ...], Rule]]:
    """Every node with its path, from the root."""
    yield path, rule
    key = key_of(rule)
    if key in GROUPS:
        for at, part in enumerate(content(rule)):
            yield from walk(part, (*path, key, at))


def leaves(rule: Rule) -> Iterator[tuple[tuple[PathSegment, ...], str, Any]]:
    """Every condition: the path of its test, its key and the test."""
    for path, node in walk(rule):
        key = key_of(node)
        if key in LEAVES:
            yield (*path, key), key, content(node)


def depth_of(rule: Rule, segments: Mapping[str, Rule]) -> int:
    """How many groups stand inside each other; ``segments``, which hold no circle, are opened."""
    key, inner = key_of(rule), content(rule)
    if key in GROUPS:
        return 1 + max(depth_of(part, segments) for part in inner)
    return depth_of(segments[inner.name], segments) if key == "segment" and inner.name in segments else 0


def count_values(data: object) -> int:
    """How many values there are in a JSON value, at every depth."""
    count, level = 0, [data]
    while level:
        level = [value for item in level for value in _below(item)]
        count += len(level)
    return count


def _below(item: object) -> Iterable[object]:
    return item.values() if isinstance(item, Mapping) else item if isinstance(item, list | tuple) else ()


def _bounded(data: object) -> None:
    """Refuse what is too deep or too much before anything walks it by recursion."""
    level: list[object] = [data]
    values = 0
    for _ in range(DEEPEST_JSON):
        below = [value for item in level for value in _below(item)]
        values += len(below)
        if not below or values > MOST_VALUES:
            break
        level = below
    if below:
        raise _limit("the rule is too large or nested too deeply", "make a segment of a part and use that")
    _check_groups(data)


def _check_groups(data: object) -> None:
    left: list[tuple[object, int, tuple[PathSegment, ...]]] = [(data, 0, ())]
    count = 0
    while left:
        item, depth, path = left.pop()
        count += 1
        if not isinstance(item, Mapping):
            continue
        for key in (key for key in GROUPS if key in item):
            if depth == DEEPEST:
                raise _limit(f"groups are nested deeper than {DEEPEST}", "make a segment of a part and use that", path)
            parts = item[key]
            if isinstance(parts, list | tuple):
                left += [(part, depth + 1, (*path, key, at)) for at, part in enumerate(parts)]
    if count > MOST_CONDITIONS:
        raise _limit(f"the rule has more than {MOST_CONDITIONS} conditions", "make a segment of a part and use that")


def _limit(message: str, next_step: str, path: tuple[PathSegment, ...] = ()) -> Refusals:
    return Refusals([InvalidInput(message, path=path, next_step=next_step)])


def _refusals(error: ValidationError) -> list[InvalidInput]:
    found = [(_path(item["loc"]), item) for item in error.errors(include_url=False, include_input=False)]
    out = []
    for path, item in found:
        # A group whose parts are all wrong is also reported as empty; the parts' own errors say it better.
        echo = item["type"] == "too_short" and any(
            len(other) > len(path) and other[: len(path)] == path for other, _ in found
        )
        if not echo:
            message = "the list is empty" if item["type"] == "too_short" else item["msg"]
            out.append(InvalidInput(message, path=path, next_step="see the rule language in the docs"))
    return out[:MOST_ERRORS]


def _path(places: tuple[PathSegment, ...]) -> tuple[PathSegment, ...]:
    path: list[PathSegment] = []
    tagged = False
    for at in places:
        # A tag stands before the key of the same name; only the key is part of the input's path.
        tagged = not tagged and at in KEYS and (not path or isinstance(path[-1], int))
        if not tagged:
            path.append(at)
    return tuple(path)
