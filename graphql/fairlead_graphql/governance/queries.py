"""Fields of ``Client`` and ``Agency`` about the audit log and jobs."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import strawberry

from fairlead.governance.model import AGENCY
from fairlead.governance.model import Job as JobRow
from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.governance import loaders
from fairlead_graphql.governance.types import AuditEntry, Job, JobState
from fairlead_graphql.ids import from_global
from fairlead_graphql.listing import Connection, page_of, read_page
from fairlead_graphql.mutation import or_none
from fairlead_graphql.policy import agency_field, client_field
from fairlead_graphql.selection import selection_of


@strawberry.input(description="Which audit entries; what is left out does not matter.")
class AuditFilter:
    """Conditions that hold together."""

    object_type: str | None = strawberry.field(
        default=strawberry.UNSET, description="Kind of the thing, such as `channel_account`."
    )
    object_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="Number or name of the thing, as entries show it."
    )
    action: str | None = strawberry.field(
        default=strawberry.UNSET, description="What was done, such as `channel_account.paused`."
    )
    actor: str | None = strawberry.field(default=strawberry.UNSET, description="Who did it, as entries show it.")

    def columns(self) -> dict[str, str | None]:
        """The conditions by column."""
        return {name: or_none(getattr(self, name)) for name in ("object_type", "object_id", "action", "actor")}


Filter = Annotated[AuditFilter | None, strawberry.argument(description="Which entries; all if left out.")]
Kind = Annotated[str | None, strawberry.argument(description="Only jobs of this kind.")]
States = Annotated[list[JobState] | None, strawberry.argument(description="Only jobs in these states.")]
JobId = Annotated[strawberry.ID, strawberry.argument(description="Global id of the job.")]


def _columns(filter: AuditFilter | None) -> dict[str, str | None]:
    return filter.columns() if filter else {}


@strawberry.type
class AuditOfAgency:
    """Mixed into ``Agency``."""

    @agency_field("audit:read", on="Agency", description="The agency's own audit log, the newest first.")
    def audit(
        self,
        info: strawberry.Info,
        filter: Filter = strawberry.UNSET,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[AuditEntry]:
        page = page_of(first, after, last, before)
        return loaders.read_audit(info.context.agency_work(), AGENCY, _columns(filter), page, selection_of(info))


@strawberry.type
class GovernanceOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field("audit:read", description="The audit log, the newest first.")
    def audit(
        self,
        info: strawberry.Info,
        filter: Filter = strawberry.UNSET,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[AuditEntry]:
        page, work = page_of(first, after, last, before), info.context.work(self.client_id)
        return loaders.read_audit(work, self.client_id, _columns(filter), page, selection_of(info))

    @client_field("jobs:read", description="Long work, the newest first.")
    def jobs(
        self,
        info: strawberry.Info,
        kind: Kind = strawberry.UNSET,
        states: States = strawberry.UNSET,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Job]:
        query = sa.select(JobRow)
        if or_none(kind) is not None:
            query = query.where(JobRow.kind == kind)
        if (chosen := or_none(states)) is not None:
            query = query.where(JobRow.state.in_([state.value for state in chosen]))
        page, work = page_of(first, after, last, before), info.context.work(self.client_id)
        return read_page(work, loaders.JOB, query, JobRow.id, page, selection_of(info), descending=True)

    @client_field("jobs:read", description="One job by id; null when there is none.")
    def job(self, info: strawberry.Info, id: JobId) -> Job | None:
        return loaders.read_job(info.context.work(self.client_id), from_global("Job", id), selection_of(info))
