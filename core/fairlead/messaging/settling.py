"""Writing what became of a batch: each message's fate, in the hands of whoever claimed it and of nobody else."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from fairlead.channels.connection import note_error
from fairlead.channels.model import ChannelAccount
from fairlead.channels.service import get_account
from fairlead.messaging.history import set_state
from fairlead.messaging.model import FAILED, QUEUED, REFUSED, SENDING, SENT, UNKNOWN, Message
from fairlead.messaging.personal import Draft
from fairlead.messaging.receipts import hold_ids, take_early
from fairlead.messaging.results import asked_wait, result_of, stops_account
from fairlead.plugins.contracts.channel import SendResult, SendState
from fairlead.plugins.errors import OutcomeUnknown, PluginError, RetryLater
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.storage import bulk
from fairlead.storage.types import to_millis
from fairlead.work import Work

MAX_ATTEMPTS = 8
FIRST_WAIT = 5.0
LONGEST_WAIT = 3600.0
LONGEST_ASKED = 30 * 86400.0
LONGEST_REST = dt.timedelta(days=1)
# Messages of a call that failed come back at different times: if one of them is the cause, the others get past it.
SPREAD = 60.0


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message as it was before its claim: ``attempts`` without this one, ``sent_at`` where it may be out already."""

    id: int
    attempts: int
    sent_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Claim:
    """What one sender holds, by key. ``held_back`` has the messages that did not pass: id to (state, reason)."""

    owner: str
    kinds: tuple[str, ...]
    drafts: list[Draft]
    rows: dict[str, Claimed]
    held_back: dict[int, tuple[str, str]]
    claimed_at: dt.datetime
    not_after: dt.datetime


@dataclass(slots=True)
class _Fates:
    """States to come and, for those that go back, the columns to set; ``first`` have surely not left."""

    states: dict[int, tuple[str, str]] = field(default_factory=dict)
    first: set[int] = field(default_factory=set)
    columns: dict[int, dict[str, object]] = field(default_factory=dict)
    untried: int = 0


def settle(
    work: Work, account_id: int, claim: Claim, results: dict[str, SendResult], error: PluginError | None
) -> dict[int, tuple[str, str]]:
    """Write the outcome of a batch. A message without a result may have gone out, so it is ``unknown``.

    A sender that was only slow still settles what became ``unknown`` meanwhile, unless a person did.
    """
    account = get_account(work, account_id, for_update=True)
    wait = _rest(work, account, error)
    hold_ids(work, account_id)
    mine = set(
        work.session.scalars(
            sa.select(Message.id)
            .where(
                Message.id.in_([row.id for row in claim.rows.values()]),
                Message.owner == claim.owner,
                Message.state.in_((SENDING, UNKNOWN)),
            )
            .with_for_update()
        )
    )
    told = {key: result_of(key, results, error) for key in claim.rows}
    fates = _Fates()
    for key, row in claim.rows.items():
        if row.id in mine:
            _decide(fates, work.now, row, told[key], wait)
    _write(work, fates)
    _note_ids(work, claim, mine, told)
    # What was not tried has used nothing up.
    account.send_tokens += fates.untried
    work.session.flush()
    announce_unknown(work, account_id, [message for message, (state, _) in fates.states.items() if state == UNKNOWN])
    take_early(work, account, {result.external_id for result in told.values() if result.external_id}, claim.kinds)
    return fates.states


def is_resting(account: ChannelAccount, now: dt.datetime) -> bool:
    """Whether nothing is to be sent now. A rest that ends too far away was written by a clock that was ahead."""
    return account.send_after is not None and now < account.send_after <= now + LONGEST_REST


def announce_unknown(work: Work, account_id: int, message_ids: Sequence[int]) -> None:
    """Tell plugins of messages that a person may have to look at, in one event."""
    if not message_ids:
        return
    work.events.append(
        DomainEvent(
            f"{EventType.MESSAGE_UNKNOWN}/{account_id}/{message_ids[0]}",
            EventType.MESSAGE_UNKNOWN,
            work.client_id,
            work.now,
            f"channel_account:{account_id}",
            {"messages": len(message_ids)},
        )
    )


def _rest(work: Work, account: ChannelAccount, error: PluginError | None) -> float:
    """Note a call's error on the account and let it rest, or end its rest; the seconds its messages wait."""
    if not stops_account(error):
        account.send_failures, account.send_after = 0, None
        work.session.flush()
        return 0.0
    assert error is not None
    account = note_error(work, account.id, error)
    account.send_failures += 1
    wait = min(_wait(account.send_failures, asked_wait(error)), LONGEST_REST.total_seconds())
    # Every other error has stopped the account until a person mends it, and then it begins at once.
    if isinstance(error, RetryLater | OutcomeUnknown):
        account.send_after = work.now + dt.timedelta(seconds=wait)
    work.session.flush()
    return wait


def _decide(fates: _Fates, now: dt.datetime, row: Claimed, result: SendResult, wait: float) -> None:
    state, reason = result.state, result.reason
    if state is SendState.SENT:
        fates.states[row.id] = (SENT, "")
        return
    if state is SendState.UNKNOWN:
        fates.states[row.id] = (UNKNOWN, reason or "no_answer")
        return
    columns = fates.columns.setdefault(row.id, {})
    if row.sent_at is None:
        fates.first.add(row.id)
    else:
        columns["sent_at"] = to_millis(row.sent_at)
    if state is SendState.NOT_TRIED:
        fates.states[row.id] = (QUEUED, reason)
        fates.untried += 1
        columns["attempts"] = row.attempts
        later = wait + random.uniform(0.0, SPREAD) if wait else _sensible(result.retry_after)  # noqa: S311 - no secret
        if later:
            columns["due_at"] = to_millis(now + dt.timedelta(seconds=later))
    elif state is SendState.RETRY and row.attempts + 1 < MAX_ATTEMPTS:
        fates.states[row.id] = (QUEUED, reason or "retry")
        later = _wait(row.attempts + 1, result.retry_after)
        columns["due_at"] = to_millis(now + dt.timedelta(seconds=later))
    else:
        over = (FAILED, "too_many_attempts") if state is SendState.RETRY else (REFUSED, "refused_by_channel")
        # An earlier attempt may have succeeded, whatever became of this one.
        fates.states[row.id] = (over[0] if row.sent_at is None else UNKNOWN, reason or over[1])


def _write(work: Work, fates: _Fates) -> None:
    first = {message: fate for message, fate in fates.states.items() if message in fates.first}
    others = {message: fate for message, fate in fates.states.items() if message not in fates.first}
    set_state(work, first, owner=None, lease_until=None, sent_at=None)
    set_state(work, others, owner=None, lease_until=None)
    names = ("attempts", "due_at", "sent_at")
    columns: dict[str, list[object]] = {"id": list(fates.columns)}
    for name in names:
        columns[name] = [given.get(name) for given in fates.columns.values()]
    bulk.update(work.session, Message, columns)
    keep_due(work, [message for message in fates.columns if fates.states[message][0] == UNKNOWN])


def keep_due(work: Work, message_ids: Collection[int]) -> None:
    """A message that may be out was due when it left, however often it was put off since."""
    if message_ids:
        work.session.execute(
            sa.update(Message)
            .where(Message.id.in_(message_ids), Message.due_at > Message.sent_at)
            .values(due_at=Message.sent_at),
            execution_options={"synchronize_session": False},
        )


def _note_ids(work: Work, claim: Claim, mine: Collection[int], told: Mapping[str, SendResult]) -> None:
    """Keep the platform's ids, also of messages that a receipt called sent before their sender did."""
    named = {row.id: told[key].external_id for key, row in claim.rows.items() if told[key].external_id}
    proven = work.session.scalars(
        sa.select(Message.id).where(
            Message.id.in_([message for message in named if message not in mine]),
            Message.state == SENT,
            Message.external_id.is_(None),
        )
    )
    chosen = [message for message in named if message in mine] + list(proven)
    bulk.update(work.session, Message, {"id": chosen, "external_id": [named[message] for message in chosen]})


def _sensible(asked: float | None) -> float:
    return asked if asked is not None and 0.0 <= asked <= LONGEST_ASKED else 0.0


def _wait(attempt: int, asked: float | None) -> float:
    """Seconds: exponential back-off with full jitter, never below what the platform asked for."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt, 30))
    return max(_sensible(asked), random.uniform(1.0, longest))  # noqa: S311 - no secret
