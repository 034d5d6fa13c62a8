"""How audit entries and jobs are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from fairlead.governance.jobs import RUN
from fairlead.governance.model import AuditEntry, Job
from fairlead.work import Work
from fairlead_graphql.governance import types
from fairlead_graphql.ids import to_global
from fairlead_graphql.listing import Column, Connection, Page, Plan, read_one, read_page
from fairlead_graphql.nodes import LOADERS, node_type
from fairlead_graphql.policy import camel
from fairlead_graphql.selection import Selection

_MEMBER = re.compile(r"member:(\d+)/")


def as_text(value: Any) -> str:
    """A JSON value as a text: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def named_values(values: Mapping[str, Any] | None) -> list[types.NamedValue]:
    """A JSON object as pairs, by name."""
    return [types.NamedValue(name=name, value=as_text(value)) for name, value in sorted((values or {}).items())]


def _changes(_work: Work, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[types.AuditChange]:
    before, after = before or {}, after or {}
    return [
        types.AuditChange(
            field=name,
            before=as_text(before[name]) if name in before else None,
            after=as_text(after[name]) if name in after else None,
        )
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or before[name] != after[name]
    ]


def _object(_work: Work, kind: str, number: str) -> str | None:
    type_name = camel("_" + kind) if not kind[:1].isupper() else kind
    return to_global(type_name, int(number)) if type_name in LOADERS and number.isdecimal() else None


def _member(_work: Work, actor: str) -> str | None:
    found = _MEMBER.match(actor)
    return to_global("Member", int(found[1])) if found else None


ENTRY = Plan(
    types.AuditEntry,
    AuditEntry.number,
    {
        "number": Column((AuditEntry.number,)),
        "at": Column((AuditEntry.at,)),
        "actor": Column((AuditEntry.actor,)),
        "memberId": Column((AuditEntry.actor,), _member),
        "action": Column((AuditEntry.action,)),
        "objectType": Column((AuditEntry.object_type,)),
        "objectId": Column((AuditEntry.object_id,)),
        "object": Column((AuditEntry.object_type, AuditEntry.object_id), _object),
        "changes": Column((AuditEntry.before, AuditEntry.after), _changes),
        "requestId": Column((AuditEntry.request_id,)),
        "digest": Column((AuditEntry.digest,), lambda _work, digest: bytes(digest).hex()),
    },
)


def read_audit(
    work: Work, chain: int, filters: Mapping[str, str | None], page: Page, selection: Selection
) -> Connection[types.AuditEntry]:
    """A page of one chain, the newest first; ``filters`` by column name."""
    query = sa.select(AuditEntry).where(AuditEntry.client_id == chain)
    for column, value in filters.items():
        if value is not None:
            query = query.where(getattr(AuditEntry, column) == value)
    return read_page(work, ENTRY, query, AuditEntry.number, page, selection, descending=True)


def _about(_work: Work, payload: Mapping[str, Any]) -> list[types.NamedValue]:
    return named_values({name: value for name, value in payload.items() if name != RUN})


JOB = Plan(
    types.Job,
    Job.id,
    {
        "kind": Column((Job.kind,)),
        "state": Column((Job.state,), lambda _work, state: types.JobState(state)),
        "done": Column((Job.done,)),
        "total": Column((Job.total,)),
        "message": Column((Job.message,)),
        "about": Column((Job.payload,), _about),
        "result": Column((Job.result,), lambda _work, result: named_values(result)),
        "actor": Column((Job.actor,)),
        "createdAt": Column((Job.created_at,)),
        "startedAt": Column((Job.started_at,)),
        "finishedAt": Column((Job.finished_at,)),
    },
)


def read_job(work: Work, job_id: int, selection: Selection) -> types.Job | None:
    """One job of the client, ``None`` when there is none; for payloads as well."""
    return read_one(work, JOB, sa.select(Job).where(Job.id == job_id), selection)


node_type(JOB, "jobs:read")
