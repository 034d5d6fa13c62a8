"""The same request twice has one effect: the first answer is kept for 24 hours and given again.

:func:`once` takes the key by inserting its row in the caller's transaction. Of several requests at once, one inserts
and the others wait for its end (SQLite: for the write lock, PostgreSQL: at the unique index). When it committed they
read its answer; when it was undone the next one goes on. Work that spans several transactions commits the row without
an answer; who meets that is told to try again.

What was asked is kept as a keyed digest: inputs hold telephone numbers, and those are few enough to be guessed from a
plain hash. Its key comes from the index key, which is never replaced, so a repeated request is known after the master
keys were rotated.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fairlead.errors import Conflict, InvalidInput
from fairlead.governance.model import IdempotencyRecord
from fairlead.storage.scope import ClientScope
from fairlead.storage.session import ScopedSession
from fairlead.work import Work

KEPT = dt.timedelta(hours=24)
LONGEST_KEY = 80


def once(work: Work, operation: str, key: str, input: Any) -> dict[str, Any] | None:
    """Take ``key`` for this unit of work, or give the answer that was kept under it.

    ``None`` means: do it, then call :func:`remember` in the same unit of work. Keys belong to the caller's token and
    ``input`` is JSON. Raises :class:`~fairlead.errors.Conflict` for a key that was used with another operation or
    input, and for one whose first request is still going on.
    """
    if not key or len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidInput(f"an idempotency key has 1 to {LONGEST_KEY} printable characters", path=("idempotencyKey",))
    session, now = work.session, work.now
    meant = _digest(work, operation, input)
    row = {
        "actor": work.actor.actor[:60],
        "key": key,
        "operation": operation[:60],
        "input_digest": meant,
        "answer": None,
        "expires_at": now + KEPT,
    }
    dialect = postgresql if session.is_postgresql else sqlite
    fresh = dialect.insert(IdempotencyRecord).values(row)
    # An expired record is taken over in place: deleting and inserting would let two requests through.
    taken = session.execute(
        fresh.on_conflict_do_update(
            index_elements=[IdempotencyRecord.actor, IdempotencyRecord.key],
            set_={name: fresh.excluded[name] for name in ("operation", "input_digest", "answer", "expires_at")},
            where=IdempotencyRecord.expires_at <= now,
        ).returning(IdempotencyRecord.key)
    ).one_or_none()
    if taken is not None:
        return None
    kept = session.execute(
        sa.select(IdempotencyRecord.input_digest, IdempotencyRecord.answer).where(
            IdempotencyRecord.actor == row["actor"], IdempotencyRecord.key == key
        )
    ).one()
    if bytes(kept.input_digest) != meant:
        raise Conflict(
            "this idempotency key was used for another request", path=("idempotencyKey",), next_step="use a fresh key"
        )
    if kept.answer is None:
        raise Conflict(
            "the first request with this idempotency key is still going on",
            path=("idempotencyKey",),
            next_step="send the same request again in a moment",
        )
    answer: dict[str, Any] = kept.answer
    return answer


def remember(work: Work, key: str, answer: Mapping[str, Any]) -> None:
    """Keep the answer under a key that :func:`once` took; it is JSON and holds ids, never a secret or a person."""
    work.session.execute(
        sa.update(IdempotencyRecord)
        .where(IdempotencyRecord.actor == work.actor.actor[:60], IdempotencyRecord.key == key)
        .values(answer=dict(answer))
    )


def forget_expired(session: ScopedSession, now: dt.datetime) -> int:
    """Delete the records that are past their time and say how many."""
    result = session.execute(sa.delete(IdempotencyRecord).where(IdempotencyRecord.expires_at <= now))
    return int(getattr(result, "rowcount", 0))


def _digest(work: Work, operation: str, given: Any) -> bytes:
    scope = work.session.scope
    client_id = scope.client_id if isinstance(scope, ClientScope) else 0
    text = json.dumps([operation, given], sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return work.vault.sign(client_id, "idempotency", text)
