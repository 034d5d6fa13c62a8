"""People in a journey while they move."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

import anyio
import anyio.to_thread
import sqlalchemy as sa
import strawberry

from fairlead.errors import NotFound
from fairlead.journeys.model import Journey as JourneyRow
from fairlead_graphql.context import Context
from fairlead_graphql.door import Cost
from fairlead_graphql.ids import from_global
from fairlead_graphql.journeys.loaders import counts_by_version
from fairlead_graphql.journeys.types import MOST_COUNTS, JourneyNodeCount
from fairlead_graphql.policy import FIELDS
from fairlead_graphql.selection import EMPTY

EVERY = 2.0
"""Seconds between two looks at a journey."""

FIELDS["Subscription", "journeyCounts"] = "journeys:read"


def _look(context: Context, client: str, number: int) -> tuple[str, list[JourneyNodeCount]]:
    """State and counts as they are now, in a reading session of its own. The permission is asked for each time."""
    found = context.client(client, "journeys:read")
    with context.runtime.reading(found.id, actor=context.actor, request_id=context.request_id) as work:
        row = work.session.execute(
            sa.select(JourneyRow.state, JourneyRow.current_version_id).where(JourneyRow.id == number)
        ).one_or_none()
        if row is None:
            raise NotFound("there is no such journey", path=("journeyId",))
        return row.state, counts_by_version(work, [row.current_version_id], EMPTY).get(row.current_version_id, [])


@strawberry.type
class JourneysSubscription:
    """Mixed into ``Subscription``."""

    @strawberry.subscription(
        description="People by node and state in a journey's current version: now, and whenever that changed, looked at"
        " every 2 seconds. It ends with the journey.",
        directives=[Cost(weight=0, size=MOST_COUNTS)],
    )
    async def journey_counts(
        self,
        info: strawberry.Info,
        client: Annotated[str, strawberry.argument(description="Slug of the client.")],
        journey_id: Annotated[strawberry.ID, strawberry.argument(description="The journey.")],
    ) -> AsyncGenerator[list[JourneyNodeCount], None]:
        number, context = from_global("Journey", journey_id, path=("journeyId",)), info.context
        seen: list[JourneyNodeCount] | None = None
        while True:
            # In a thread: this generator runs on the event loop of all requests.
            state, counts = await anyio.to_thread.run_sync(_look, context, client, number)
            if counts != seen:
                seen = counts
                yield counts
            if state == "archived":
                return
            await anyio.sleep(EVERY)
