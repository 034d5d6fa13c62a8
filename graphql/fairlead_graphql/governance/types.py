"""The audit log and jobs, as the API shows them."""

from __future__ import annotations

import datetime as dt
import enum

import strawberry

from fairlead_graphql.policy import reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Node


@reached_with("audit:read")
@strawberry.type(description="One value that an audit entry is about, before and after.")
class AuditChange:
    """A changed value."""

    field: str = strawberry.field(description="Name of the value.")
    before: str | None = strawberry.field(
        description="What it was, as JSON unless it is a text; null when there was none."
    )
    after: str | None = strawberry.field(
        description="What it is now, as JSON unless it is a text; null when it is gone."
    )


@reached_with("audit:read")
@strawberry.type(description="Who did what to which thing. Entries are chained by their digests and never change.")
class AuditEntry:
    """An entry of the log."""

    number: int = strawberry.field(description="Place in its chain, from 1. Each client has a chain, and the agency.")
    at: dt.datetime = strawberry.field(description="When it was done.")
    actor: str = strawberry.field(description="Who did it: `member:1/token:2`, or `system:` and a part of the program.")
    member_id: strawberry.ID | None = strawberry.field(description="Global id of that member; null for the program.")
    action: str = strawberry.field(description="What was done, such as `channel_account.paused`.")
    object_type: str = strawberry.field(description="Kind of the thing, such as `channel_account`.")
    object_id: str = strawberry.field(description="Number or name of the thing.")
    object: strawberry.ID | None = strawberry.field(description="Global id of the thing, if it has one.")
    changes: list[AuditChange] = rows(20, "What changed, by name; no secrets and no people.")
    request_id: str = strawberry.field(description="Id of the request that did it; may be empty.")
    digest: str = strawberry.field(description="SHA-256 over this entry and the digest before it, in hex.")


@strawberry.enum(description="Where long work stands.")
class JobState(enum.Enum):
    """States of jobs."""

    QUEUED = strawberry.enum_value("queued", description="It waits for its turn.")
    RUNNING = strawberry.enum_value("running", description="It is being done.")
    DONE = strawberry.enum_value("done", description="It ended as it should.")
    FAILED = strawberry.enum_value("failed", description="It ended early; the message says why.")
    CANCELLED = strawberry.enum_value("cancelled", description="Somebody stopped it.")


@reached_with("jobs:read")
@strawberry.type(description="A name and a value.")
class NamedValue:
    """A pair."""

    name: str = strawberry.field(description="Name of the value.")
    value: str = strawberry.field(description="The value, as JSON unless it is a text.")


@reached_with("jobs:read")
@strawberry.type(description="Long work with progress.")
class Job(Node):
    """A job."""

    kind: str = strawberry.field(description="What is done, such as `channels.sync_job`.")
    state: JobState = strawberry.field(description="Where it stands.")
    done: int = strawberry.field(description="Units done so far.")
    total: int = strawberry.field(description="Units in all; 0 while that is not known.")
    message: str = strawberry.field(description="What it is at, or why it failed; may be empty.")
    about: list[NamedValue] = rows(20, "What it was asked to do.")
    result: list[NamedValue] = rows(20, "What came out; empty before the end.")
    actor: str = strawberry.field(description="Who started it.")
    created_at: dt.datetime = strawberry.field(description="When it was started.")
    started_at: dt.datetime | None = strawberry.field(description="When work on it began.")
    finished_at: dt.datetime | None = strawberry.field(description="When it ended.")
