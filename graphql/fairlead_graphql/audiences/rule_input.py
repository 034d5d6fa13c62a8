"""The rule language as typed input: one field per key of the stored form, so that a tree maps onto it one to one."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import strawberry
from strawberry.scalars import JSON

from fairlead.audiences.rules import KEYS
from fairlead.errors import DomainError, Refusals
from fairlead_graphql.audiences.values import OrderStatus, RuleFunction, RuleOp, RuleValue
from fairlead_graphql.policy import camel

UNSET: Any = strawberry.UNSET


@strawberry.input(description="An attribute compared with a value.")
class AttributeRuleInput:
    """``attribute``."""

    name: str = strawberry.field(
        description="gender, age, birth_date, region, language, zone, created_at, or an attribute of the client's own."
    )
    op: RuleOp = strawberry.field(description="The comparison.")
    value: RuleValue | None = strawberry.field(default=UNSET, description="What to compare with; none for EXISTS.")


@strawberry.input(description="From an instant to another.")
class RuleBetweenInput:
    """``window.between``."""

    from_: dt.datetime = strawberry.field(name="from", description="The first instant, included.")
    to: dt.datetime = strawberry.field(description="The last instant, not included.")


@strawberry.input(one_of=True, description="When facts happened. What lies after now never counts.")
class RuleWindowInput:
    """``window``."""

    within_days: int | None = strawberry.field(default=UNSET, description="Within the last days, 1 to 3650.")
    between: RuleBetweenInput | None = strawberry.field(default=UNSET, description="Between two instants.")
    since: dt.datetime | None = strawberry.field(default=UNSET, description="From an instant on.")
    ever: bool | None = strawberry.field(default=UNSET, description="At any time; only true makes sense.")


@strawberry.input(description="One more condition on a fact. Give a field or a property.")
class RuleWhereInput:
    """``where``."""

    field: str | None = strawberry.field(
        default=UNSET, description="channel, item, category, amount, status, region, kind or campaign, as the fact has."
    )
    property: str | None = strawberry.field(default=UNSET, description="A property that came with the fact.")
    op: RuleOp = strawberry.field(description="The comparison.")
    value: RuleValue | None = strawberry.field(default=UNSET, description="What to compare with.")


@strawberry.input(description="A number over the facts that match, compared. Money is in minor units.")
class RuleAggregateInput:
    """``aggregate``."""

    function: RuleFunction = strawberry.field(description="The number.")
    of: str | None = strawberry.field(
        default=UNSET, description="amount, paid_amount or refund_amount; for DISTINCT item, category or channel."
    )
    op: RuleOp = strawberry.field(description="EQ, NE, GT, GTE, LT, LTE or BETWEEN.")
    value: RuleValue = strawberry.field(description="A whole number, two of them for BETWEEN.")


@strawberry.input(description="Events of one type happened, or did not; order and touch stand for all of them.")
class FactRuleInput:
    """``fact``."""

    type: str = strawberry.field(description="Type of the event, or order, or touch.")
    did: bool | None = strawberry.field(default=UNSET, description="False to ask that it did not happen.")
    aggregate: RuleAggregateInput | None = strawberry.field(default=UNSET, description="How often, or for how much.")
    window: RuleWindowInput | None = strawberry.field(default=UNSET, description="When; at any time unless given.")
    where: list[RuleWhereInput] | None = strawberry.field(default=UNSET, description="Which of them; all must hold.")


@strawberry.input(description="Orders were placed, or not, by the time they were placed.")
class OrderRuleInput:
    """``order``."""

    did: bool | None = strawberry.field(default=UNSET, description="False to ask that it did not happen.")
    aggregate: RuleAggregateInput | None = strawberry.field(default=UNSET, description="How often, or for how much.")
    window: RuleWindowInput | None = strawberry.field(default=UNSET, description="When; at any time unless given.")
    where: list[RuleWhereInput] | None = strawberry.field(default=UNSET, description="Which of them; all must hold.")
    status: list[OrderStatus] | None = strawberry.field(default=UNSET, description="In one of these states.")
    currency: str | None = strawberry.field(
        default=UNSET, description="ISO 4217 code of the amounts; the client's own unless given."
    )


@strawberry.input(description="The person has a tag.")
class TagRuleInput:
    """``tag``."""

    name: str = strawberry.field(description="Name of the tag.")


@strawberry.input(description="The rule of another segment holds now.")
class SegmentRuleInput:
    """``segment``."""

    name: str = strawberry.field(description="Name of the segment.")


@strawberry.input(description="The stored score of a scheme compared with a number.")
class ScoreRuleInput:
    """``score``."""

    scheme: str = strawberry.field(description="Name of the scoring scheme.")
    op: RuleOp = strawberry.field(description="The comparison.")
    value: RuleValue | None = strawberry.field(default=UNSET, description="What to compare with.")


@strawberry.input(
    description="The person is in one of these life-cycle stages. Nothing moves people through stages yet, so a stage "
    "that nobody is in is refused."
)
class StageRuleInput:
    """``stage``."""

    in_: list[str] = strawberry.field(name="in", description="Names of stages.")


@strawberry.input(description="The consent for a purpose holds now.")
class ConsentRuleInput:
    """``consent``."""

    purpose: str = strawberry.field(description="marketing, personalisation, sharing or service.")
    channel: str | None = strawberry.field(default=UNSET, description="A channel; * (the default) for all.")


@strawberry.input(description="The person has an active identity of this kind, so they can be reached by it.")
class IdentityRuleInput:
    """``identity``."""

    kind: str = strawberry.field(description="Such as phone, email or wechat_openid.")


@strawberry.input(description="The region lies within a GB/T 2260 code.")
class RegionRuleInput:
    """``region``."""

    within: str = strawberry.field(description="2, 4, 6, 9 or 12 digits; 44 is all of Guangdong.")


@strawberry.input(description="A stable random part of everybody. One salt gives the same parts everywhere.")
class BucketRuleInput:
    """``bucket``."""

    salt: str = strawberry.field(description="Another salt gives independent parts.")
    from_: int = strawberry.field(name="from", description="First bucket, 0 to 9999, included.")
    to: int = strawberry.field(description="Last bucket, 1 to 10000, not included; 0 to 1000 is 10 %.")


@strawberry.input(description="A condition that a plugin brings.")
class OperatorRuleInput:
    """``operator``."""

    name: str = strawberry.field(description="Name of the operator.")
    arguments: JSON | None = strawberry.field(
        default=UNSET, description="Its arguments, as the operator's JSON Schema describes them."
    )


@strawberry.input(
    one_of=True, description="A rule: exactly one condition, or a group of rules. Groups nest 10 deep at most."
)
class RuleInput:
    """A node of the tree."""

    all: list[RuleInput] | None = strawberry.field(default=UNSET, description="Every one of these holds.")
    any: list[RuleInput] | None = strawberry.field(default=UNSET, description="At least one of these holds.")
    none: list[RuleInput] | None = strawberry.field(default=UNSET, description="None of these holds.")
    attribute: AttributeRuleInput | None = strawberry.field(default=UNSET, description="An attribute of the person.")
    fact: FactRuleInput | None = strawberry.field(default=UNSET, description="What they did or did not do.")
    order: OrderRuleInput | None = strawberry.field(default=UNSET, description="What they ordered or did not.")
    tag: TagRuleInput | None = strawberry.field(default=UNSET, description="A tag they have.")
    segment: SegmentRuleInput | None = strawberry.field(default=UNSET, description="Another segment's rule.")
    score: ScoreRuleInput | None = strawberry.field(default=UNSET, description="A score they have.")
    stage: StageRuleInput | None = strawberry.field(default=UNSET, description="Their life-cycle stage.")
    consent: ConsentRuleInput | None = strawberry.field(default=UNSET, description="What they agreed to.")
    identity: IdentityRuleInput | None = strawberry.field(default=UNSET, description="How they can be reached.")
    region: RegionRuleInput | None = strawberry.field(default=UNSET, description="Where they live.")
    bucket: BucketRuleInput | None = strawberry.field(default=UNSET, description="A random part of everybody.")
    operator: OperatorRuleInput | None = strawberry.field(default=UNSET, description="A plugin's condition.")


def rule_json(given: Any) -> Any:
    """The JSON form of an input or a part of one, as ``parse_rule`` reads it. What is not given is left out."""
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        values = ((part.name.removesuffix("_"), getattr(given, part.name)) for part in dataclasses.fields(given))
        return {name: rule_json(value) for name, value in values if value is not UNSET and value is not None}
    if isinstance(given, enum.Enum):
        return given.value
    if isinstance(given, dt.datetime):
        return given.isoformat()
    if isinstance(given, list):
        return [rule_json(item) for item in given]
    return given


@contextmanager
def at_rule(argument: str = "rule") -> Iterator[None]:
    """Let refusals about a part of a rule have paths into ``argument``, spelled as the input spells them."""
    try:
        yield
    except Refusals as error:
        raise Refusals([_moved(one, argument) for one in error.errors]) from None
    except DomainError as error:
        raise _moved(error, argument) from None


def _moved(error: DomainError, argument: str) -> DomainError:
    if error.path and error.path[0] in KEYS:
        error.path = (argument, *(camel(step) if isinstance(step, str) else step for step in error.path))
    return error
