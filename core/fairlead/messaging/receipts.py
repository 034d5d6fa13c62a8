"""What platforms tell later: delivered, read, bounced, complained. In any order, as often as they like, each once.

A receipt may come before its sender has written the platform's id, and it may name nothing but an address. Both are
kept as loose receipts for a while: the first until their message turns up, the second so that they act once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace

import sqlalchemy as sa

from fairlead.channels.model import ChannelAccount
from fairlead.customers.consent import withdraw
from fairlead.customers.identifiers import normalise
from fairlead.customers.model import Identity, Suppression
from fairlead.facts.fingerprint import fingerprints
from fairlead.messaging.history import set_state
from fairlead.messaging.model import OPTED_OUT, SENDING, SENT, LooseReceipt, Message, MessageHistory, MessageReceipt
from fairlead.messaging.texts import LONGEST_DETAIL, fit_id, fit_text
from fairlead.plugins.contracts.channel import Receipt, ReceiptState
from fairlead.storage import bulk, ids
from fairlead.storage.locks import lock
from fairlead.storage.types import to_millis
from fairlead.work import Work

# Every receipt there is proves that its message went out.
WITHDRAWING = {ReceiptState.UNSUBSCRIBED: "receipt", ReceiptState.COMPLAINED: "complaint"}
SUPPRESSING = {ReceiptState.BOUNCED: "bounced", ReceiptState.COMPLAINED: "complained"}
MARKETING = "marketing"
KEPT = dt.timedelta(days=7)

Blinds = list[tuple[str, bytes]]


def take_receipts(work: Work, account: ChannelAccount, receipts: Sequence[Receipt], kinds: Sequence[str]) -> int:
    """Store receipts and do what they ask for: suppress a dead or complaining address, withdraw consent, settle a
    message that is not known to have been sent. A receipt that is known already asks for nothing.

    ``kinds`` are the channel's address kinds. The answer is how many were new and about a message.
    """
    receipts = [replace(receipt, external_id=fit_id(receipt.external_id)) for receipt in receipts]
    found = _messages(work, account, receipts)
    if any(message is None and receipt.external_id for receipt, message in zip(receipts, found, strict=True)):
        hold_ids(work, account.id)
        found = _messages(work, account, receipts)
    pairs = list(zip(receipts, found, strict=True))
    known = _fresh(work, account, [(receipt, message) for receipt, message in pairs if message is not None])
    stored = bulk.insert(
        work.session,
        MessageReceipt,
        {
            "id": ids.reserve(work.session.connection(), len(known)),
            "fingerprint": list(known),
            "message_id": [message.id for _, message in known.values()],
            "state": [str(receipt.state) for receipt, _ in known.values()],
            "at": [to_millis(receipt.at) for receipt, _ in known.values()],
            "detail": [fit_text(receipt.detail, LONGEST_DETAIL) for receipt, _ in known.values()],
        },
        ignore_known=True,
    )
    _settle(work, {message.id: receipt for receipt, message in known.values() if message.state != SENT})
    for receipt, message in known.values():
        _act_on_message(work, account, receipt, message, kinds)
    _take_loose(work, account, [receipt for receipt, message in pairs if message is None], kinds)
    return stored


def take_early(work: Work, account: ChannelAccount, external_ids: Collection[str], kinds: Sequence[str]) -> None:
    """Give messages the receipts that came before the platform's ids of them were written, in the same transaction.

    The caller called :func:`hold_ids` before it wrote them.
    """
    here = (LooseReceipt.account_id == account.id, LooseReceipt.external_id.in_(external_ids))
    rows = work.session.scalars(sa.select(LooseReceipt).where(*here)).all() if external_ids else ()
    if not rows:
        return
    work.session.execute(sa.delete(LooseReceipt).where(*here), execution_options={"synchronize_session": False})
    for shut in (True, False):
        early = [
            Receipt(ReceiptState(row.state), row.at, external_id=row.external_id, detail=row.detail)
            for row in rows
            if row.shut is shut
        ]
        # Without kinds no further address is shut: the one that was meant is.
        take_receipts(work, account, early, () if shut else kinds)


def hold_ids(work: Work, account_id: int) -> None:
    """Until the end of the transaction nobody else writes ids of an account's messages, or misses them."""
    lock(work.session, f"receipts/{account_id}")


def forget_loose(work: Work) -> int:
    """Delete the loose receipts that are past their time, of all clients; answers how many."""
    gone = sa.delete(LooseReceipt).where(LooseReceipt.received_at <= work.now - KEPT)
    return int(getattr(work.session.execute(gone), "rowcount", 0))


def _fresh(
    work: Work, account: ChannelAccount, pairs: Sequence[tuple[Receipt, Message]]
) -> dict[bytes, tuple[Receipt, Message]]:
    """The receipts that nobody has told yet, by fingerprint."""
    texts = (f"{message.id}/{receipt.state}/{to_millis(receipt.at)}" for receipt, message in pairs)
    told = dict(zip(fingerprints(f"receipt/{account.id}", texts), pairs, strict=True))
    seen = work.session.scalars(sa.select(MessageReceipt.fingerprint).where(MessageReceipt.fingerprint.in_(list(told))))
    for mark in seen:
        told.pop(bytes(mark))
    return told


def _messages(work: Work, account: ChannelAccount, receipts: Sequence[Receipt]) -> list[Message | None]:
    """The message of each receipt, by the platform's id or by key."""
    external = {receipt.external_id for receipt in receipts if receipt.external_id}
    keys = {receipt.key for receipt in receipts if receipt.key}
    rows = work.session.scalars(
        sa.select(Message)
        .where(Message.account_id == account.id, sa.or_(Message.external_id.in_(external), Message.key.in_(keys)))
        .execution_options(populate_existing=True)
    ).all()
    by_external = {row.external_id: row for row in rows if row.external_id}
    by_key = {row.key: row for row in rows}
    return [by_key.get(receipt.key) or by_external.get(receipt.external_id) for receipt in receipts]


def _settle(work: Work, proven: dict[int, Receipt]) -> None:
    """A message with a receipt was sent, whatever it was taken for; so it must not be sent again."""
    if not proven:
        return
    tried = (
        sa.select(sa.func.max(MessageHistory.at))
        .where(
            MessageHistory.client_id == Message.client_id,
            MessageHistory.message_id == Message.id,
            MessageHistory.state == SENDING,
        )
        .correlate(Message)
        .scalar_subquery()
    )
    sent_at = sa.func.coalesce(Message.sent_at, tried, sa.literal(work.now, Message.sent_at.type))
    set_state(
        work,
        {message_id: (SENT, f"receipt_{receipt.state}") for message_id, receipt in proven.items()},
        owner=None,
        lease_until=None,
        sent_at=sent_at,
        due_at=sa.case((Message.due_at > sent_at, sent_at), else_=Message.due_at),
    )


def _act_on_message(
    work: Work, account: ChannelAccount, receipt: Receipt, message: Message, kinds: Sequence[str]
) -> None:
    act = WITHDRAWING.get(receipt.state)
    if act is not None:
        withdraw(
            work,
            message.profile_id,
            message.purpose,
            message.channel,
            source=f"{account.channel} {act}",
            evidence={"message": message.id},
        )
    reason = SUPPRESSING.get(receipt.state)
    if reason is not None:
        blinds = _named(work, receipt, kinds) or _only_address(work, message, kinds)
        _suppress(work, account, blinds, reason)


def _take_loose(work: Work, account: ChannelAccount, receipts: Sequence[Receipt], kinds: Sequence[str]) -> None:
    """Remember receipts without a message, and act on the address where one is named."""
    named = [(receipt, _named(work, receipt, kinds)) for receipt in receipts]
    named = [(receipt, blinds) for receipt, blinds in named if receipt.external_id or blinds]
    texts = [
        f"{receipt.external_id}/{receipt.state}/{to_millis(receipt.at)}/" + "".join(blind.hex() for _, blind in blinds)
        for receipt, blinds in named
    ]
    fresh = dict(zip(fingerprints(f"loose/{account.id}", texts), named, strict=True))
    seen = sa.select(LooseReceipt.fingerprint).where(LooseReceipt.fingerprint.in_(list(fresh)))
    for mark in work.session.scalars(seen):
        fresh.pop(bytes(mark))
    columns: bulk.Columns = {
        "fingerprint": list(fresh),
        "account_id": [account.id] * len(fresh),
        "external_id": [receipt.external_id for receipt, _ in fresh.values()],
        "state": [str(receipt.state) for receipt, _ in fresh.values()],
        "at": [to_millis(receipt.at) for receipt, _ in fresh.values()],
        "detail": [fit_text(receipt.detail, LONGEST_DETAIL) for receipt, _ in fresh.values()],
        "shut": [bool(blinds) for _, blinds in fresh.values()],
        "received_at": [to_millis(work.now)] * len(fresh),
    }
    bulk.insert(work.session, LooseReceipt, columns, ignore_known=True)
    for receipt, blinds in fresh.values():
        _act_on_address(work, account, receipt, blinds)


def _act_on_address(work: Work, account: ChannelAccount, receipt: Receipt, blinds: Blinds) -> None:
    act, reason = WITHDRAWING.get(receipt.state), SUPPRESSING.get(receipt.state)
    if act is not None and blinds:
        holders = _holders(work, blinds)
        for profile_id in holders:
            evidence = {"account": account.id}
            withdraw(work, profile_id, MARKETING, account.channel, source=f"{account.channel} {act}", evidence=evidence)
        # Whoever is known can agree again; an address of nobody would come back with the next import.
        if not holders:
            reason = reason or OPTED_OUT
    if reason is not None:
        _suppress(work, account, blinds, reason)


def _holders(work: Work, blinds: Blinds) -> list[int]:
    """The profiles that have one of the addresses."""
    here = sa.or_(*(sa.and_(Identity.kind == kind, Identity.blind == blind) for kind, blind in blinds))
    return list(work.session.scalars(sa.select(Identity.profile_id).where(here).distinct()))


def _suppress(work: Work, account: ChannelAccount, blinds: Blinds, reason: str) -> None:
    for kind, blind in blinds if reason != OPTED_OUT else ():
        milder = (Suppression.kind == kind, Suppression.blind == blind, Suppression.channel == account.channel)
        work.session.execute(
            sa.update(Suppression).where(*milder, Suppression.reason == OPTED_OUT).values(reason=reason),
            execution_options={"synchronize_session": False},
        )
    columns: bulk.Columns = {
        "kind": [kind for kind, _ in blinds],
        "blind": [blind for _, blind in blinds],
        "channel": [account.channel] * len(blinds),
        "reason": [reason] * len(blinds),
        "created_at": [to_millis(work.now)] * len(blinds),
    }
    bulk.insert(work.session, Suppression, columns, ignore_known=True)


def _named(work: Work, receipt: Receipt, kinds: Sequence[str]) -> Blinds:
    """The address that a receipt names, if it names one of the channel's kinds."""
    for kind in kinds if receipt.address else ():
        value = normalise(kind, receipt.address)
        if value is not None:
            return [(kind, work.vault.blind(work.client_id, kind, value))]
    return []


def _only_address(work: Work, message: Message, kinds: Sequence[str]) -> Blinds:
    """The address of the message's person, where there is only one of the best kind."""
    for kind in kinds:
        rows = work.session.scalars(
            sa.select(Identity.blind).where(Identity.profile_id == message.profile_id, Identity.kind == kind).limit(2)
        ).all()
        if len(rows) == 1:
            return [(kind, bytes(rows[0]))]
    return []
