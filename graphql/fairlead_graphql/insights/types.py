"""Attribution, as the API shows it."""

from __future__ import annotations

import datetime as dt

import strawberry
from strawberry.scalars import JSON

from fairlead_graphql.door import Cost
from fairlead_graphql.policy import reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Money, Node, Title


@reached_with("insights:read")
@strawberry.type(description="A way to share conversions among channels, of a plugin that is on for the client.")
class AttributionModel:
    """A model."""

    name: str = strawberry.field(description="Its name in mutations.")
    title: Title = strawberry.field(description="Its name for people.")
    description: Title = strawberry.field(description="How it shares.")
    version: str = strawberry.field(description="Its version.")
    plugin: str = strawberry.field(description="The plugin it comes with.")
    settings_schema: JSON = strawberry.field(description="JSON Schema of its settings, for a form.")


@reached_with("insights:read")
@strawberry.type(description="What was asked: which conversions, in which span, and how far back touches count.")
class AttributionQuestion:
    """A question."""

    conversion: str = strawberry.field(description="order for paid orders, or the type of an event.")
    start: dt.datetime | None = strawberry.field(description="First instant of the conversions; null for no bound.")
    end: dt.datetime | None = strawberry.field(description="First instant after them; null for no bound.")
    lookback_days: int | None = strawberry.field(description="How far back touches count; null for all the way.")


@reached_with("insights:read")
@strawberry.type(description="How many were left out for a reason.")
class Exclusion:
    """An exclusion."""

    reason: str = strawberry.field(description="no_touch, other_currency, no_channel or outside_lookback.")
    count: int = strawberry.field(description="How many.")


@reached_with("insights:read")
@strawberry.type(description="What the models looked at.")
class PathSummary:
    """A summary."""

    paths: int = strawberry.field(description="Paths in all.")
    converting: int = strawberry.field(description="Paths that end in a conversion.")
    null: int = strawberry.field(description="Paths that do not.")
    touches: int = strawberry.field(description="Touches on them.")
    conversions: int = strawberry.field(description="Conversions they end in; one path may end in several.")
    excluded_conversions: list[Exclusion] = rows(10, "Conversions that were left out, by reason.")
    excluded_touches: list[Exclusion] = rows(10, "Touches that were left out, by reason.")


@reached_with("insights:read")
@strawberry.type(description="A number beside a credit that explains it, such as a removal effect.")
class CreditDetail:
    """A detail."""

    name: str = strawberry.field(description="What it is; the model's page explains it.")
    value: float = strawberry.field(description="The number.")


@reached_with("insights:read")
@strawberry.type(description="What one channel earned in a run.")
class AttributionCredit:
    """A credit."""

    channel: str = strawberry.field(description="Name of the channel.")
    touches: int = strawberry.field(description="Its touches on all paths.")
    conversions: float = strawberry.field(description="Its share of the conversions; all shares sum to the run's.")
    value: Money = strawberry.field(
        description="Its share of the value, down to a millionth of the smallest unit.", directives=[Cost(weight=0)]
    )
    details: list[CreditDetail] = rows(5, "More numbers, if the model gives any.")


@reached_with("insights:read")
@strawberry.type(description="The kept answer of one model to one question.")
class AttributionRun(Node):
    """A run."""

    model: str = strawberry.field(description="Name of the model.")
    settings: JSON = strawberry.field(description="Its settings, as the model's JSON Schema describes them.")
    question: AttributionQuestion = strawberry.field(description="What was asked.")
    summary: PathSummary = strawberry.field(description="What was looked at and left out.")
    conversions: float = strawberry.field(description="Conversions that were shared.")
    value: Money = strawberry.field(description="What they were worth, in the client's currency.")
    computed_at: dt.datetime = strawberry.field(description="When it was computed.")
    credits: list[AttributionCredit] = rows(
        200, "Every channel that was touched, the highest share first, at most 200."
    )
