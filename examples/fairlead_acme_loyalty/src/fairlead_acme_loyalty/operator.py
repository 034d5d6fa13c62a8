"""The rule operator on points earned: one point for each whole yuan paid and not refunded, over all orders so far."""

from __future__ import annotations

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from fairlead.facts.model import Order
from fairlead.plugins import Kind, Manifest, Title
from fairlead.plugins.contracts.rule_operator import RuleSqlContext, RuleSubject

FEN_PER_POINT = 100


class Arguments(BaseModel):
    """How many points."""

    model_config = ConfigDict(extra="forbid")

    at_least: int = Field(ge=0, description="Points a person must have earned", examples=[50])


class PointsEarned:
    """Counted in fen on both sides, so that rounding cannot tell them apart."""

    manifest = Manifest(
        name="acme_points_earned",
        kind=Kind.RULE_OPERATOR,
        version="0.1.0",
        title=Title("累计积分", "Points earned"),
        description=Title("累计获得的积分不少于给定值", "Has earned at least so many points"),
        settings=Arguments,
    )

    def compile(self, context: RuleSqlContext, arguments: Arguments) -> sa.ColumnElement[bool]:
        """A sum over no orders is NULL in SQL, hence the coalesce."""
        kept = (
            sa.select(sa.func.coalesce(sa.func.sum(Order.paid_amount - Order.refund_amount), 0))
            .where(
                Order.client_id == context.client_id,
                Order.profile_id == context.profile_id,
                Order.placed_at <= context.now,
            )
            .correlate_except(Order)
            .scalar_subquery()
        )
        return kept >= arguments.at_least * FEN_PER_POINT

    def evaluate(self, subject: RuleSubject, arguments: Arguments) -> bool:
        """The same from the person's orders."""
        orders = [fact.fields for fact in subject.facts if fact.source == "order"]
        kept = sum(order["paid_amount"] - order["refund_amount"] for order in orders)
        return bool(kept >= arguments.at_least * FEN_PER_POINT)
