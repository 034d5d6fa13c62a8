"""Sending what is in the outbox: claim, call the channel, write the outcome; the claim is durable before the call.

A message leaves ``queued`` for ``sending`` under a lease and an owner. Whoever lost the lease cannot write an outcome.
When a lease runs out, a channel that drops repeated keys gets the message again; for any other the message becomes
``unknown``, and only a receipt or a person moves it on.

Consent and quiet hours are judged when messages are claimed, so a call has an end (``ChannelContext.not_after``), and
what it has not begun by then is judged again.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from fairlead.channels.connection import call_channel, open_account, stranger
from fairlead.channels.model import ChannelAccount
from fairlead.channels.service import get_account
from fairlead.errors import DomainError
from fairlead.messaging.guards import LONGEST_CALL, Verdicts, judge
from fairlead.messaging.history import note_states, set_state
from fairlead.messaging.leases import LEASE, end_unsent, give_up, recover_leases
from fairlead.messaging.model import IS_OPEN, QUEUED, REFUSED, SENDING, Message
from fairlead.messaging.personal import draft, write
from fairlead.messaging.results import read_results, stops_account
from fairlead.messaging.settling import Claim, Claimed, is_resting, settle
from fairlead.plugins.contracts.channel import (
    NamesMessages,
    OutgoingMessage,
    SendLimits,
    SendResult,
    SendsMessages,
    SendState,
)
from fairlead.plugins.errors import OutcomeUnknown, PluginError, RetryLater
from fairlead.storage import bulk
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.channels.connection import OpenAccount
    from fairlead.runtime import Fairlead

log = structlog.get_logger("fairlead.messaging")


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
    reached: Callable[[str], None] = field(default=lambda state: None, repr=False, compare=False)
    """Is told the state of each message."""

    def add(self, changes: Mapping[int, tuple[str, str]], queued: str) -> None:
        """Count messages by the state each came to; ``queued`` says whether those still waiting were delayed or failed
        a try (``retried``)."""
        for state, reason in changes.values():
            self.reached(state)
            name = queued if state == QUEUED else state
            setattr(self, name, getattr(self, name) + 1)
            if state == REFUSED:
                self.reasons[reason] = self.reasons.get(reason, 0) + 1


def dispatch(
    runtime: Fairlead, client_id: int, account_id: int, *, lease: dt.timedelta = LEASE, batches: int = 1_000_000
) -> Dispatched:
    """Send what is due through one account until nothing is, its rate is spent, or it fails.

    Errors of the account are noted on it and end the call; the messages they hit keep their place.
    """
    with runtime.reading(client_id) as work:
        account = get_account(work, account_id)
        entry = work.plugins.channels.get(account.channel)
    count = runtime.metrics.messages.labels
    done = Dispatched(reached=lambda state: count(account.channel, state).inc())
    # Where no channel can be asked, nobody can promise that a repeat is dropped.
    idempotent = entry is not None and isinstance(entry.thing, SendsMessages) and entry.thing.idempotent
    recover_leases(runtime, client_id, account_id, idempotent=idempotent)
    if account.state == "disconnected":
        done.add(runtime.run(client_id, lambda work: give_up(work, account_id)), "delayed")
    if account.state != "connected":
        return done
    opened = open_account(runtime, client_id, account_id)
    channel = opened.channel
    if not isinstance(channel, SendsMessages):
        return done
    limits = channel.limits(opened.context)
    while done.batches < batches:
        claim = runtime.run(client_id, lambda work: _claim(work, opened, channel, limits, lease))
        if claim is None:
            break
        done.batches += 1
        done.add(claim.held_back, "delayed")
        if claim.rows and not _send(runtime, client_id, opened, claim, done):
            break
    return done


def _claim(
    work: Work, opened: OpenAccount, channel: SendsMessages, limits: SendLimits, lease: dt.timedelta
) -> Claim | None:
    """Take the next batch; ``None`` when nothing is due or the account's rate is spent. May run again."""
    account = get_account(work, opened.account.id, for_update=True)
    if account.state != "connected" or is_resting(account, work.now):
        return None
    in_time = max(1.0, limits.per_second * LONGEST_CALL.total_seconds())
    room = int(min(limits.batch, _tokens(account, limits, work.now), in_time))
    if room < 1:
        return None
    # After a failure fewer are tried at once: one message that makes every call fail is soon alone with it.
    room = max(1, room >> min(account.send_failures, 30))
    messages = work.session.scalars(
        sa.select(Message)
        .where(
            Message.account_id == account.id,
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
    drafts, unfit = draft(work, passing, verdicts)
    verdicts.refused.update(unfit)
    held_back = _write_verdicts(work, messages, verdicts)
    owner = secrets.token_hex(16)
    chosen = [row for row in passing if row.id not in unfit]
    rows = {row.key: Claimed(row.id, row.attempts, row.sent_at) for row in chosen}
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
    _name(work, opened, rows)
    note_states(work, {row.id: (SENDING, "") for row in chosen})
    account.send_tokens -= len(chosen)
    not_after = min(work.now + LONGEST_CALL, work.now + lease, verdicts.quiet_from or work.now + LONGEST_CALL)
    return Claim(owner, channel.address_kinds, drafts, rows, held_back, work.now, not_after)


def _name(work: Work, opened: OpenAccount, rows: Mapping[str, Claimed]) -> None:
    """Write the ids that the channel itself gives its messages, so that receipts find them if this sender dies."""
    channel = opened.channel
    if not isinstance(channel, NamesMessages):
        return
    try:
        named = [SendResult(key, SendState.SENT, channel.external_id_of(opened.context, key)) for key in rows]
    except Exception as error:  # noqa: BLE001 - a stranger's code; the channel tells the ids again after sending
        log.warning("a channel does not name its messages", channel=opened.entry.name, type=type(error).__name__)
        return
    names = {key: result.external_id for key, result in read_results(named).items() if result.external_id}
    columns: bulk.Columns = {"id": [rows[key].id for key in names], "external_id": list(names.values())}
    bulk.update(work.session, Message, columns, only_missing=True)


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
    """Refuse and delay."""
    sent_at = {row.id: row.sent_at for row in messages}
    ends = {message_id: (sent_at[message_id], reason) for message_id, reason in verdicts.refused.items()}
    refused = end_unsent(work, messages[0].account_id, ends)
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


def _send(runtime: Fairlead, client_id: int, opened: OpenAccount, claim: Claim, done: Dispatched) -> bool:
    """Write the messages, call the channel and note what came of it; false when the account should rest."""
    account_id = opened.account.id
    # Half of the time at most goes into writing, so that what was written can be sent.
    written_by = claim.claimed_at + (claim.not_after - claim.claimed_at) / 2
    outgoing, results = write(claim.drafts, lambda: runtime.clock() >= written_by)
    error: PluginError | None = None
    if outgoing and runtime.clock() < claim.not_after:
        try:
            told = read_results(_call(runtime, client_id, account_id, claim, outgoing))
            results |= {message.key: told[message.key] for message in outgoing if message.key in told}
        except PluginError as raised:
            error = raised
        except DomainError as raised:
            # Switched off, disconnected or with settings that no longer fit: nothing has left.
            error = RetryLater(raised.message)
        except Exception as raised:  # noqa: BLE001 - a stranger's code; what it did to the messages nobody knows
            error = OutcomeUnknown(stranger(raised, opened.entry.name).message)
    else:
        results |= {message.key: SendResult(message.key, SendState.NOT_TRIED) for message in outgoing}
    ended = runtime.run(client_id, lambda work: settle(work, account_id, claim, results, error), archived=True)
    done.add(ended, "retried")
    tried = any(key not in results or results[key].state is not SendState.NOT_TRIED for key in claim.rows)
    return tried and not stops_account(error)


def _call(
    runtime: Fairlead, client_id: int, account_id: int, claim: Claim, outgoing: Sequence[OutgoingMessage]
) -> Sequence[SendResult]:
    def send(opened: OpenAccount) -> Sequence[SendResult]:
        channel = opened.channel
        if opened.account.state != "connected" or not isinstance(channel, SendsMessages):
            raise RetryLater("the account was paused after the messages were claimed")
        try:
            return channel.send(replace(opened.context, not_after=claim.not_after), outgoing)
        except DomainError as error:
            # Such as new tokens that could not be saved: some of the messages may have left before.
            raise OutcomeUnknown(error.message) from error

    return call_channel(runtime, client_id, account_id, "send", send)
