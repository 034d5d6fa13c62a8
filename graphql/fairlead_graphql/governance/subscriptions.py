"""The progress of long work while it goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

import anyio
import anyio.to_thread
import strawberry

from fairlead.errors import NotFound
from fairlead_graphql.context import Context
from fairlead_graphql.governance.loaders import read_job
from fairlead_graphql.governance.queries import JobId
from fairlead_graphql.governance.types import Job, JobState
from fairlead_graphql.ids import from_global
from fairlead_graphql.policy import FIELDS
from fairlead_graphql.selection import Selection, selection_of

EVERY = 0.5
"""Seconds between two looks at a job."""
OPEN = (JobState.QUEUED, JobState.RUNNING)
LOOKED_AT = ("state", "done", "total", "message")

FIELDS["Subscription", "jobProgress"] = "jobs:read"

ClientSlug = Annotated[str, strawberry.argument(description="Slug of the client.")]


def _look(context: Context, client: str, number: int, selection: Selection) -> Job:
    """The job as it is now, in a reading session of its own. The permission is asked for each time."""
    found = context.client(client, "jobs:read")
    with context.runtime.reading(found.id, actor=context.actor, request_id=context.request_id) as work:
        job = read_job(work, number, selection)
    if job is None:
        raise NotFound("there is no such job", path=("id",))
    return job


@strawberry.type
class GovernanceSubscription:
    """Mixed into ``Subscription``."""

    @strawberry.subscription(
        description="A job now and whenever it got on, about twice a second at most; it ends when the job has ended."
    )
    async def job_progress(self, info: strawberry.Info, client: ClientSlug, id: JobId) -> AsyncGenerator[Job, None]:
        number, context = from_global("Job", id), info.context
        selection = selection_of(info) | Selection(dict.fromkeys(LOOKED_AT, Selection({})))
        seen: tuple[object, ...] | None = None
        while True:
            # In a thread: this generator runs on the event loop of all requests.
            job = await anyio.to_thread.run_sync(_look, context, client, number, selection)
            state = tuple(getattr(job, name) for name in LOOKED_AT)
            if state != seen:
                seen = state
                yield job
            if job.state not in OPEN:
                return
            await anyio.sleep(EVERY)
