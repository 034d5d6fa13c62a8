"""Sending what is in the outbox: claim, call the channel, write the outcome; the claim is durable before the call.

A message leaves ``queued`` for ``sending`` under a lease and an owner. Whoever lost the lease cannot write an outcome.
When a lease runs out, a channel that drops repeated keys gets the message again; for any other the message becomes
``unknown``, and only a receipt or a person moves it on.
"""

from __future__ import annotations

import datetime as dt
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fairlead.channels.connection import call_channel, note_error, open_account, stranger
from fairlead.channels.model import ChannelAccount
from fairlead.channels.service import get_account
from fairlead.errors import DomainError
from fairlead.messaging.guards import Verdicts, judge
from fairlead.messaging.history import note_states, set_state
from fairlead.messaging.model import FAILED, IS_OPEN, QUEUED, REFUSED, SENDING, SENT, UNKNOWN, Message
from fairlead.messaging.personal import compose
from fairlead.plugins.contracts.channel import OutgoingMessage, SendLimits, SendResult, SendsMessages, SendState
from fairlead.plugins.errors import OutcomeUnknown, PluginError, RetryLater, SkipItem, SwitchChannel
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.channels.connection import OpenAccount
    from fairlead.runtime import Fairlead

LEASE = dt.timedelta(minutes=5)
MAX_ATTEMPTS = 8
FIRST_WAIT = 5.0
LONGEST_WAIT = 3600.0
GIVEN_UP = 5_000
LONGEST_ASKED = 30 * 86400.0
SENDER_LOST = "sender_lost"


@dataclass(slots=True)
class Dispatched:
    """How many messages ended this call in which way."""

    sent: int = 0
    refused: int = 0
    delayed: int = 0
    retried: int = 0
    failed: int = 0
    unknown: int = 0
    batches: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, changes: Mapping[int, tuple[str, str]], queued: str) -> None:
        """Count messages by the state each came to; ``queued`` says whether those still waiting were delayed or failed
        a try (``retried``)."""
        for state, reason in changes.values():
            name = queued if state == QUEUED else state
            setattr(self, name, getattr(self, name) + 1)
            if state == REFUSED:
                self.reasons[reason] = self.reasons.get(reason, 0) + 1


@dataclass(frozen=True, slots=True)
class _Claim:
    """``held_back`` has the messages that did not pass the guards: id to (state, reason)."""

    owner: str
    channel: str
    outgoing: list[OutgoingMessage]
    ids: dict[str, int]
    attempts: dict[str, int]
    held_back: dict[int, tuple[str, str]]


def dispatch(
    runtime: Fairlead, client_id: int, account_id: int, *, lease: dt.timedelta = LEASE, batches: int = 1_000_000
) -> Dispatched:
    """Send what is due through one account until nothing is, its rate is spent, or it fails.

    Errors of the account are noted on it and end the call; the messages they hit keep their place.
    """
    done = Dispatched()
    opened = open_account(runtime, client_id, account_id)
    channel = opened.channel
    if opened.account.state == "disconnected":
        done.add(runtime.run(client_id, lambda work: _give_up(work, account_id)), "delayed")
    if opened.account.state != "connected" or not isinstance(channel, SendsMessages):
        return done
    limits = channel.limits(opened.context)
    recover_leases(runtime, client_id, account_id, idempotent=channel.idempotent)
    while done.batches < batches:
        claim = runtime.run(client_id, lambda work: _claim(work, account_id, channel, limits, lease))
        if claim is None:
            break
        done.batches += 1
        done.add(claim.held_back, "delayed")
        if claim.outgoing and not _send(runtime, client_id, account_id, claim, done):
            break
    return done


def _give_up(work: Work, account_id: int) -> dict[int, tuple[str, str]]:
    """Refuse what is queued for an account that will not send again."""
    left = work.session.scalars(
        sa.select(Message.id).where(Message.account_id == account_id, IS_OPEN, Message.state == QUEUED).limit(GIVEN_UP)
    ).all()
    refused = dict.fromkeys(left, (REFUSED, "account_disconnected"))
    set_state(work, refused)
    return refused


def recover_leases(runtime: Fairlead, client_id: int, account_id: int, *, idempotent: bool) -> int:
    """Take back messages whose sender died: to ``queued`` where the channel drops repeats, to ``unknown`` elsewhere.

    A message that outlived its senders too often is not tried again: it may be what kills them.
    """

    def recover(work: Work) -> int:
        lost = work.session.execute(
            sa.select(Message.id, Message.attempts)
            .where(
                Message.account_id == account_id,
                IS_OPEN,
                Message.state == SENDING,
                Message.lease_until < work.now,
            )
            .with_for_update(skip_locked=True)
        ).all()
        if not lost:
            return 0
        again = [message_id for message_id, attempts in lost if idempotent and attempts < MAX_ATTEMPTS]
        unknown = [message_id for message_id, _ in lost if message_id not in again]
        # ``sent_at`` stays: it says that the message may be out already.
        set_state(work, dict.fromkeys(again, (QUEUED, SENDER_LOST)), owner=None, lease_until=None)
        # An unknown one keeps its owner, who may only be slow and tell the outcome yet.
        set_state(work, dict.fromkeys(unknown, (UNKNOWN, SENDER_LOST)), lease_until=None)
        if unknown:
            _announce_unknown(work, account_id, unknown)
        return len(lost)

    return runtime.run(client_id, recover)


def _claim(
    work: Work, account_id: int, channel: SendsMessages, limits: SendLimits, lease: dt.timedelta
) -> _Claim | None:
    """Take the next batch; ``None`` when nothing is due or the account's rate is spent. May run again."""
    account = get_account(work, account_id, for_update=True)
    if account.state != "connected":
        return None
    room = min(limits.batch, _tokens(account, limits, work.now))
    if room < 1:
        return None
    messages = work.session.scalars(
        sa.select(Message)
        .where(
            Message.account_id == account_id,
            IS_OPEN,
            Message.state == QUEUED,
            Message.due_at <= work.now,
        )
        .order_by(Message.due_at, Message.id)
        .limit(room)
        .with_for_update(skip_locked=True)
    ).all()
    if not messages:
        return None
    verdicts = judge(work, messages, channel.address_kinds, limits.scope)
    passing = [row for row in messages if row.id not in verdicts.refused and row.id not in verdicts.delayed]
    outgoing, unfit = compose(work, passing, verdicts)
    verdicts.refused.update(unfit)
    held_back = _write_verdicts(work, messages, verdicts)
    owner = secrets.token_hex(16)
    chosen = [row for row in passing if row.id not in unfit]
    work.session.execute(
        sa.update(Message)
        .where(Message.id.in_([row.id for row in chosen]), Message.state == QUEUED)
        .values(
            state=SENDING,
            reason="",
            owner=owner,
            lease_until=work.now + lease,
            attempts=Message.attempts + 1,
            sent_at=work.now,
        ),
        execution_options={"synchronize_session": False},
    )
    note_states(work, {row.id: (SENDING, "") for row in chosen})
    account.send_tokens -= len(chosen)
    ids = {row.key: row.id for row in chosen}
    attempts = {row.key: row.attempts + 1 for row in chosen}
    return _Claim(owner, account.channel, outgoing, ids, attempts, held_back)


def _tokens(account: ChannelAccount, limits: SendLimits, now: dt.datetime) -> int:
    """Refill the account's bucket, which all workers share, and say how many messages it lets out now."""
    most = max(float(limits.batch), limits.per_second)
    if account.send_tokens_at is None:
        account.send_tokens = most
    else:
        passed = max((now - account.send_tokens_at).total_seconds(), 0.0)
        account.send_tokens = min(most, account.send_tokens + passed * limits.per_second)
    account.send_tokens_at = now
    return int(account.send_tokens)


def _write_verdicts(work: Work, messages: Sequence[Message], verdicts: Verdicts) -> dict[int, tuple[str, str]]:
    """Refuse and delay; one that an earlier sender may have sent cannot be called refused, so it is ``unknown``."""
    maybe_out = {row.id for row in messages if row.sent_at is not None}
    refused = {
        message_id: (UNKNOWN if message_id in maybe_out else REFUSED, reason)
        for message_id, reason in verdicts.refused.items()
    }
    set_state(work, refused)
    unknown = [message_id for message_id, (state, _) in refused.items() if state == UNKNOWN]
    if unknown:
        _announce_unknown(work, messages[0].account_id, unknown)
    by_time: dict[tuple[dt.datetime, str], list[int]] = {}
    for message_id, delay in verdicts.delayed.items():
        if message_id not in verdicts.refused:
            by_time.setdefault(delay, []).append(message_id)
    delayed: dict[int, tuple[str, str]] = {}
    for (due_at, reason), message_ids in by_time.items():
        later = dict.fromkeys(message_ids, (QUEUED, reason))
        set_state(work, later, due_at=due_at)
        delayed |= later
    return refused | delayed


def _send(runtime: Fairlead, client_id: int, account_id: int, claim: _Claim, done: Dispatched) -> bool:
    """Call the channel and write what came of it; false when the account should rest."""

    def call(opened: OpenAccount) -> Sequence[SendResult]:
        channel = opened.channel
        if opened.account.state != "connected" or not isinstance(channel, SendsMessages):
            raise RetryLater("the account was paused after the messages were claimed")
        return channel.send(opened.context, claim.outgoing)

    error: PluginError | None = None
    results: dict[str, SendResult] = {}
    try:
        results = _told(call_channel(runtime, client_id, account_id, "send", call))
    except PluginError as raised:
        error = raised
    except DomainError as raised:
        # Switched off, disconnected or with settings that no longer fit: nothing has left.
        error = RetryLater(raised.message)
    except Exception as raised:  # noqa: BLE001 - a stranger's code; what it did to the messages nobody knows
        error = OutcomeUnknown(stranger(raised, claim.channel).message)

    def settle(work: Work) -> dict[int, tuple[str, str]]:
        ended = _settle(work, account_id, claim, results, error)
        if error is not None and not isinstance(error, SkipItem | SwitchChannel):
            note_error(work, account_id, error)
        return ended

    done.add(runtime.run(client_id, settle, archived=True), "retried")
    return error is None or isinstance(error, SkipItem | SwitchChannel)


def _told(answer: object) -> dict[str, SendResult]:
    """What a channel's answer says per key. A key with two fates has none, and what is no result does not count."""
    results: dict[str, SendResult] = {}
    torn: set[str] = set()
    for result in answer if isinstance(answer, Sequence) else ():
        if not isinstance(result, SendResult) or not isinstance(result.state, SendState):
            continue
        if results.setdefault(result.key, result).state is not result.state:
            torn.add(result.key)
    return {key: result for key, result in results.items() if key not in torn}


def _settle(
    work: Work,
    account_id: int,
    claim: _Claim,
    results: Mapping[str, SendResult],
    error: PluginError | None,
) -> dict[int, tuple[str, str]]:
    """Write the outcome of a batch. A message without a result may have gone out, so it is ``unknown``.

    A sender that was only slow still settles what became ``unknown`` meanwhile, unless a person did.
    """
    mine = set(
        work.session.scalars(
            sa.select(Message.id)
            .where(
                Message.id.in_(claim.ids.values()),
                Message.owner == claim.owner,
                Message.state.in_((SENDING, UNKNOWN)),
            )
            .with_for_update()
        )
    )
    ended: dict[int, tuple[str, str]] = {}
    for key, message_id in claim.ids.items():
        if message_id not in mine:
            continue
        result = results.get(key) or _from_error(key, error)
        values: dict[str, object] = {}
        if result.state is SendState.SENT:
            fate, values = (SENT, ""), {"external_id": str(result.external_id)[:120] or None}
        elif result.state is SendState.REFUSED:
            fate, values = (REFUSED, result.reason or "refused_by_channel"), {"sent_at": None}
        elif result.state is SendState.RETRY and claim.attempts[key] < MAX_ATTEMPTS:
            wait = _wait(claim.attempts[key], result.retry_after)
            fate, values = (QUEUED, result.reason or "retry"), {"sent_at": None, "due_at": work.now + wait}
        elif result.state is SendState.RETRY:
            fate, values = (FAILED, result.reason or "too_many_attempts"), {"sent_at": None}
        else:
            fate = (UNKNOWN, result.reason or "no_answer")
        set_state(work, {message_id: fate}, owner=None, lease_until=None, **values)
        ended[message_id] = fate
    unknown = [message_id for message_id, (state, _) in ended.items() if state == UNKNOWN]
    if unknown:
        _announce_unknown(work, account_id, unknown)
    return ended


def _from_error(key: str, error: PluginError | None) -> SendResult:
    """What an error of the whole call means for one message."""
    if isinstance(error, RetryLater):
        return SendResult(key, SendState.RETRY, reason=error.rung, retry_after=error.retry_after)
    if isinstance(error, SkipItem | SwitchChannel):
        return SendResult(key, SendState.REFUSED, reason=error.code or error.rung)
    if error is not None and not isinstance(error, OutcomeUnknown):
        return SendResult(key, SendState.RETRY, reason=error.rung, retry_after=LONGEST_WAIT)
    return SendResult(key, SendState.UNKNOWN, reason="no_answer")


def _wait(attempt: int, retry_after: float | None) -> dt.timedelta:
    """Exponential back-off with full jitter, never below what the platform asked for."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0**attempt)
    asked = retry_after if retry_after is not None and 0.0 <= retry_after <= LONGEST_ASKED else 0.0
    return dt.timedelta(seconds=max(asked, random.uniform(1.0, longest)))  # noqa: S311 - no secret


def _announce_unknown(work: Work, account_id: int, message_ids: Sequence[int]) -> None:
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
