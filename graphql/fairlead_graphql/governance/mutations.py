"""Stopping long work."""

from __future__ import annotations

import functools

import strawberry

from fairlead.engine.port import Engine
from fairlead.governance import jobs as service
from fairlead.work import Work
from fairlead_graphql.context import Context
from fairlead_graphql.governance.loaders import read_job
from fairlead_graphql.governance.types import Job
from fairlead_graphql.ids import from_global
from fairlead_graphql.inputs import client_slug, errors, idempotency_key
from fairlead_graphql.mutation import Answer, UserError, client_mutation, done
from fairlead_graphql.policy import reached_with
from fairlead_graphql.selection import Selection


@strawberry.input(description="A job to stop.")
class CancelJobInput:
    """Input of ``cancelJob``."""

    client: str = client_slug()
    job_id: strawberry.ID = strawberry.field(description="Global id of the job.")
    idempotency_key: str | None = idempotency_key()


@reached_with("jobs:read")
@strawberry.type(description="Answer of a mutation that starts or stops long work.")
class JobPayload:
    """Payload with a job."""

    job: Job | None = strawberry.field(description="The job as it is now.")
    errors: list[UserError] = errors()


def job_payload(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> JobPayload:
    """The payload of an answer ``{"job": number}``."""
    assert client_id is not None
    return done(JobPayload, job=read_job(context.work(client_id), answer["job"], selection.below("job")))


def _cancel(engine: Engine, run_id: str) -> None:
    engine.cancel(run_id)


@strawberry.type
class GovernanceMutation:
    """Mixed into ``Mutation``."""

    @client_mutation(
        "jobs:write",
        payload=JobPayload,
        present=job_payload,
        description="Stop a job. Work in progress ends at its next step; what is done stays done.",
    )
    def cancel_job(work: Work, given: CancelJobInput, context: Context) -> Answer:
        job = service.cancel_job(work, from_global("Job", given.job_id, path=("jobId",)))
        engine, run = context.runtime.engine, job.payload.get(service.RUN)
        if engine is not None and run is not None:
            work.after_commit.append(functools.partial(_cancel, engine, str(run)))
        return {"job": job.id}
