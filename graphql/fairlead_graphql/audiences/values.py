"""The words of the rule language as the schema spells them: comparisons, functions, order states, the value."""

from __future__ import annotations

import enum
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from fairlead.audiences.values import MOST_VALUES
from graphql import GraphQLError

RuleValue = NewType("RuleValue", object)
"""What a condition compares with."""


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def read_value(value: Any) -> Any:
    """Accept a text, a number, a boolean, or a list of those; anything else is refused before a resolver runs."""
    if _plain(value):
        return value
    if isinstance(value, list) and len(value) <= MOST_VALUES and all(_plain(item) for item in value):
        return value
    # A GraphQLError, since a plain exception in here would count as our bug.
    raise GraphQLError("RuleValue cannot represent this value")


RULE_VALUE: ScalarDefinition = strawberry.scalar(
    name="RuleValue",
    description="A text, a number, a boolean, or a list of those. Dates as 2026-01-31, instants with their zone.",
    serialize=lambda value: value,
    parse_value=read_value,
)


@strawberry.enum(description="A comparison. NE and NOT_IN also hold where the value is missing.")
class RuleOp(enum.Enum):
    """Comparisons."""

    EQ = strawberry.enum_value("eq", description="Equal.")
    NE = strawberry.enum_value("ne", description="Not equal, or missing.")
    IN = strawberry.enum_value("in", description="One of a list.")
    NOT_IN = strawberry.enum_value("not_in", description="None of a list, or missing.")
    GT = strawberry.enum_value("gt", description="Greater, or later.")
    GTE = strawberry.enum_value("gte", description="Greater or equal.")
    LT = strawberry.enum_value("lt", description="Smaller, or earlier.")
    LTE = strawberry.enum_value("lte", description="Smaller or equal.")
    BETWEEN = strawberry.enum_value("between", description="From the first of two values to the second, both included.")
    CONTAINS = strawberry.enum_value("contains", description="The text holds this text; the list holds this text.")
    STARTS_WITH = strawberry.enum_value("starts_with", description="The text starts with this text.")
    EXISTS = strawberry.enum_value("exists", description="There is a value. Takes none itself.")
    MISSING = strawberry.enum_value("missing", description="There is no value. Takes none itself.")


@strawberry.enum(description="A number over the facts that match.")
class RuleFunction(enum.Enum):
    """Functions."""

    COUNT = strawberry.enum_value("count", description="How many; 0 over nothing.")
    SUM = strawberry.enum_value("sum", description="The sum of an amount; 0 over nothing.")
    AVG = strawberry.enum_value("avg", description="The mean of an amount; nothing has none.")
    MIN = strawberry.enum_value("min", description="The least amount; nothing has none.")
    MAX = strawberry.enum_value("max", description="The largest amount; nothing has none.")
    DISTINCT = strawberry.enum_value("distinct", description="How many different items, categories or channels.")


@strawberry.enum(description="Where an order stands.")
class OrderStatus(enum.Enum):
    """States of orders."""

    CREATED = strawberry.enum_value("created", description="Placed, not paid.")
    PAID = strawberry.enum_value("paid", description="Paid, not shipped.")
    SHIPPED = strawberry.enum_value("shipped", description="On its way.")
    FINISHED = strawberry.enum_value("finished", description="Received, done.")
    CLOSED = strawberry.enum_value("closed", description="Ended without payment, or called off.")
    REFUNDED = strawberry.enum_value("refunded", description="Paid back in full.")
