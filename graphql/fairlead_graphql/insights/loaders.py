"""How attribution runs and credits are read, in sets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from fairlead.clients.model import Client
from fairlead.customers.cells import MINOR_DIGITS
from fairlead.insights.model import AttributionCredit, AttributionRun
from fairlead.work import Work
from fairlead_graphql.catalogue import described
from fairlead_graphql.insights import types
from fairlead_graphql.listing import Children, Column, Connection, Page, Plan, read_all, read_page
from fairlead_graphql.nodes import node_type
from fairlead_graphql.scalars import Money
from fairlead_graphql.selection import Selection

MOST_CREDITS = 200
DECIMALS = 6

CURRENCY = sa.select(Client.currency).scalar_subquery()


def share_of_money(_work: Work, minor: float, currency: str) -> Money:
    """Money from a share in minor units, which need not be a whole number of them."""
    minor = round(minor, DECIMALS)
    exact = Decimal(int(minor)) if minor.is_integer() else Decimal(repr(minor))
    return Money(amount=exact.scaleb(-MINOR_DIGITS.get(currency, 2)), currency=currency)


def models(work: Work) -> list[types.AttributionModel]:
    """The models that are on for the client, by name."""
    return [
        types.AttributionModel(**described(entry.manifest), plugin=entry.plugin)
        for _, entry in sorted(work.plugins.attribution_models.items())
    ]


def _question(_work: Work, question: Mapping[str, Any]) -> types.AttributionQuestion:
    start, end = (
        dt.datetime.fromisoformat(question[name]) if question.get(name) else None for name in ("start", "end")
    )
    return types.AttributionQuestion(
        conversion=question["conversion"], start=start, end=end, lookback_days=question.get("lookback_days")
    )


def _exclusions(counts: Mapping[str, int]) -> list[types.Exclusion]:
    return [types.Exclusion(reason=reason, count=count) for reason, count in sorted(counts.items())]


def _summary(_work: Work, summary: Mapping[str, Any]) -> types.PathSummary:
    return types.PathSummary(
        paths=summary["paths"],
        converting=summary["converting"],
        null=summary["null"],
        touches=summary["touches"],
        conversions=summary["conversions"],
        excluded_conversions=_exclusions(summary["excludedConversions"]),
        excluded_touches=_exclusions(summary["excludedTouches"]),
    )


def credits_by_run(work: Work, runs: Sequence[int], _selection: Selection) -> dict[int, list[types.AttributionCredit]]:
    """Credits per run, the highest first."""
    credit = AttributionCredit
    order = (credit.conversions.desc(), credit.channel)
    place = sa.func.row_number().over(partition_by=credit.run_id, order_by=order).label("place")
    ranked = (
        sa.select(
            credit.run_id,
            credit.channel,
            credit.touches,
            credit.conversions,
            credit.value,
            credit.detail,
            CURRENCY.label("currency"),
            place,
        )
        .where(credit.run_id.in_(runs))
        .subquery()
    )
    rows = work.session.execute(
        sa.select(ranked).where(ranked.c.place <= MOST_CREDITS).order_by(ranked.c.run_id, ranked.c.place)
    )
    found: dict[int, list[types.AttributionCredit]] = {}
    for run, channel, touches, conversions, value, detail, currency, _place in rows:
        one = types.AttributionCredit(
            channel=channel,
            touches=touches,
            conversions=conversions,
            value=share_of_money(work, value, currency),
            details=[types.CreditDetail(name=name, value=number) for name, number in sorted(detail.items())],
        )
        found.setdefault(run, []).append(one)
    return found


RUN = Plan(
    types.AttributionRun,
    AttributionRun.id,
    {
        "model": Column((AttributionRun.model,)),
        "settings": Column((AttributionRun.settings,)),
        "question": Column((AttributionRun.question,), _question),
        "summary": Column((AttributionRun.summary,), _summary),
        "conversions": Column((AttributionRun.conversions,)),
        "value": Column((AttributionRun.value, CURRENCY), share_of_money),
        "computedAt": Column((AttributionRun.computed_at,)),
    },
    {"credits": Children(credits_by_run)},
)


def read_runs(work: Work, model: str | None, page: Page, selection: Selection) -> Connection[types.AttributionRun]:
    """A page of runs, the newest first."""
    query = sa.select(AttributionRun)
    if model is not None:
        query = query.where(AttributionRun.model == model)
    return read_page(work, RUN, query, AttributionRun.id, page, selection, descending=True)


def runs_by_id(work: Work, numbers: Sequence[int], selection: Selection) -> list[types.AttributionRun]:
    """Runs by rising id, which is the order in which they were kept."""
    query = sa.select(AttributionRun).where(AttributionRun.id.in_(numbers)).order_by(AttributionRun.id)
    return read_all(work, RUN, query, selection)


node_type(RUN, "insights:read")
