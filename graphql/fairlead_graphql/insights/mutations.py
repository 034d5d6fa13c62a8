"""Asking attribution models."""

from __future__ import annotations

import datetime as dt
from typing import Any

import strawberry
from strawberry.scalars import JSON

from fairlead.errors import InvalidInput
from fairlead.governance.jobs import get_job
from fairlead.insights import workflows
from fairlead.work import Work
from fairlead_graphql.audiences.rule_input import rule_json
from fairlead_graphql.background import hand_over
from fairlead_graphql.context import Context
from fairlead_graphql.door import Cost
from fairlead_graphql.governance.loaders import read_job
from fairlead_graphql.governance.types import Job
from fairlead_graphql.inputs import client_slug, errors, idempotency_key, optional
from fairlead_graphql.insights.loaders import runs_by_id
from fairlead_graphql.insights.types import AttributionRun
from fairlead_graphql.mutation import Answer, UserError, client_mutation, done, or_none
from fairlead_graphql.policy import reached_with
from fairlead_graphql.selection import Selection


@strawberry.input(description="Which conversions, in which span, and how far back touches count.")
class AttributionQuestionInput:
    """A question."""

    conversion: str | None = optional(
        "order (the default): paid orders in the client's currency, worth what was paid less refunds; "
        "or a type of event, worth its amount."
    )
    start: dt.datetime | None = optional("First instant of the conversions, with its zone.")
    end: dt.datetime | None = optional("First instant after them, with its zone.")
    lookback_days: int | None = optional("How many days back touches count, 1 to 3650; all the way unless given.")


@strawberry.input(description="A model to ask.")
class AttributionModelInput:
    """A model."""

    name: str = strawberry.field(description="Name of the model.")
    settings: JSON | None = optional(
        "Its settings, as its JSON Schema describes them; those saved for the client unless given."
    )


@strawberry.input(description="One question and the models that shall answer it.")
class RunAttributionInput:
    """Input of ``runAttribution``."""

    client: str = client_slug()
    question: AttributionQuestionInput = strawberry.field(description="The question.")
    models: list[AttributionModelInput] = strawberry.field(
        description="1 to 20 models; the paths are read once for all of them."
    )
    idempotency_key: str | None = idempotency_key()


@reached_with("insights:write")
@strawberry.type(description="Answer of `runAttribution`.")
class RunAttributionPayload:
    """Payload of ``runAttribution``."""

    job: Job | None = strawberry.field(
        description="The work; it has ended where no engine runs in the background. Its result names the runs."
    )
    runs: list[AttributionRun] | None = strawberry.field(
        description="The answers, as soon as the job has ended.", directives=[Cost(size=workflows.MOST_MODELS)]
    )
    errors: list[UserError] = errors()


def _show(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> RunAttributionPayload:
    assert client_id is not None
    hand_over(context, client_id, answer["job"], workflows.run_attribution)
    work = context.work(client_id)
    result: dict[str, Any] = dict(get_job(work, answer["job"]).result or {})
    runs = runs_by_id(work, result["runs"], selection.below("runs")) if "runs" in result else []
    job = read_job(work, answer["job"], selection.below("job"))
    return done(RunAttributionPayload, job=job, runs=runs)


@strawberry.type
class InsightsMutation:
    """Mixed into ``Mutation``."""

    @client_mutation(
        "insights:write",
        payload=RunAttributionPayload,
        present=_show,
        description="Ask one or several attribution models which channel earned the conversions. The answers are kept.",
    )
    def run_attribution(work: Work, given: RunAttributionInput) -> Answer:
        chosen = []
        for at, one in enumerate(given.models):
            settings: Any = or_none(one.settings)
            if settings is not None and not isinstance(settings, dict):
                raise InvalidInput("settings are an object", path=("models", at, "settings"))
            chosen.append((one.name, settings))
        return {"job": workflows.queue_attribution(work, rule_json(given.question), chosen).id}
