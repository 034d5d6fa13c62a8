"""Putting messages into the outbox, in the transaction that decided on them. The key makes a repeat a no-op.

This module speaks to bare tables: rows come from a journey's batch, which holds one client's people only, and every
message carries the session's client.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from fairlead.channels.service import find_account
from fairlead.journeys.batch import BATCH, STAY, fresh_ids
from fairlead.journeys.model import Enrolment
from fairlead.messaging.model import PAUSED, QUEUED, Message
from fairlead.messaging.templates import find_template
from fairlead.storage import bulk, ids
from fairlead.storage.types import to_millis
from fairlead.work import Work

IntArray = npt.NDArray[np.int64]
MESSAGE: sa.Table = Message.__table__  # type: ignore[assignment]
COLUMNS = (
    "client_id",
    "id",
    "key",
    "profile_id",
    "account_id",
    "channel",
    "purpose",
    "template_id",
    "enrolment_id",
    "node",
    "state",
    "reason",
    "due_at",
    "attempts",
    "created_at",
)


def journey_key(enrolment: object, node: str, visit: object) -> str:
    """The idempotency key of a journey's effect."""
    return f"j/{enrolment}/{node}/{visit}"


def queue_batch(work: Work, account: str, template: str, purpose: str, node: str) -> int:
    """Queue one message for everybody in the journey's batch who moves on."""
    found, text = find_account(work, account), find_template(work, template)
    now = to_millis(work.now)
    count = work.session.bare(sa.select(sa.func.count()).select_from(BATCH).where(BATCH.c.outlet != STAY)).scalar_one()
    if not count:
        return 0
    key = sa.literal("j/") + sa.cast(BATCH.c.enrolment_id, sa.String) + f"/{node}/" + sa.cast(BATCH.c.visit, sa.String)
    rows = sa.select(
        sa.literal(work.client_id),
        fresh_ids(work.session, count),
        key,
        BATCH.c.profile_id,
        sa.literal(found.id),
        sa.literal(found.channel),
        sa.literal(purpose),
        sa.literal(text.id),
        BATCH.c.enrolment_id,
        sa.literal(node),
        sa.literal(QUEUED),
        sa.literal(""),
        sa.literal(now),
        sa.literal(0),
        sa.literal(now),
    ).where(BATCH.c.outlet != STAY)
    if work.session.is_postgresql:
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(MESSAGE).from_select(list(COLUMNS), rows, include_defaults=False).on_conflict_do_nothing()
    return int(work.session.bare(statement, preserve_rowcount=True).rowcount)


def release_paused(work: Work, journey_id: int) -> None:
    """Let the messages go on that waited because their journey was paused."""
    people = sa.select(Enrolment.id).where(Enrolment.journey_id == journey_id)
    work.session.execute(
        sa.update(Message)
        .where(Message.enrolment_id.in_(people), Message.state == QUEUED, Message.reason == PAUSED)
        .values(due_at=work.now),
        execution_options={"synchronize_session": False},
    )


def queue_people(
    work: Work,
    account: str,
    template: str,
    purpose: str,
    node: str,
    profile_ids: IntArray,
    enrolments: IntArray,
    visits: IntArray,
) -> int:
    """Queue one message per person, for nodes that choose their people themselves. All arrays have one shape."""
    pairs = zip(enrolments.tolist(), visits.tolist(), strict=True)
    keys = [journey_key(enrolment, node, visit) for enrolment, visit in pairs]
    return queue_messages(
        work, account, template, purpose, profile_ids, keys, enrolments=enrolments.tolist(), node=node
    )


def queue_messages(
    work: Work,
    account: str,
    template: str,
    purpose: str,
    profile_ids: IntArray,
    keys: Sequence[str],
    *,
    enrolments: Sequence[int | None] | None = None,
    node: str = "",
) -> int:
    """Queue one message per profile under the given keys; known keys are passed over. Answers how many were new."""
    found, text = find_account(work, account), find_template(work, template)
    now, count = to_millis(work.now), len(profile_ids)
    columns: bulk.Columns = {
        "id": ids.reserve(work.session.connection(), count),
        "key": keys,
        "profile_id": profile_ids,
        "account_id": [found.id] * count,
        "channel": [found.channel] * count,
        "purpose": [purpose] * count,
        "template_id": [text.id] * count,
        "enrolment_id": enrolments or [None] * count,
        "node": [node] * count,
        "state": [QUEUED] * count,
        "reason": [""] * count,
        "due_at": [now] * count,
        "attempts": [0] * count,
        "created_at": [now] * count,
    }
    return bulk.insert(work.session, Message, columns, ignore_known=True)
