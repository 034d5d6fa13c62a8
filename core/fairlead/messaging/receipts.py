"""What platforms tell later: delivered, read, bounced, complained. In any order, as often as they like, each once."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from fairlead.channels.model import ChannelAccount
from fairlead.customers.consent import withdraw
from fairlead.customers.identifiers import normalise
from fairlead.customers.model import Identity, Suppression
from fairlead.facts.fingerprint import fingerprints
from fairlead.messaging.history import set_state
from fairlead.messaging.model import SENDING, SENT, UNKNOWN, Message, MessageReceipt
from fairlead.plugins.contracts.channel import Receipt, ReceiptState
from fairlead.storage import bulk, ids
from fairlead.storage.types import to_millis
from fairlead.work import Work

PROOF_OF_SENDING = frozenset(
    {
        ReceiptState.DELIVERED,
        ReceiptState.READ,
        ReceiptState.CLICKED,
        ReceiptState.BOUNCED,
        ReceiptState.SOFT_BOUNCED,
        ReceiptState.COMPLAINED,
        ReceiptState.UNSUBSCRIBED,
    }
)
WITHDRAWING = {ReceiptState.UNSUBSCRIBED: "receipt", ReceiptState.COMPLAINED: "complaint"}
SUPPRESSING = {ReceiptState.BOUNCED: "bounced", ReceiptState.COMPLAINED: "complained"}


def take_receipts(work: Work, account: ChannelAccount, receipts: Sequence[Receipt], kinds: Sequence[str]) -> int:
    """Store receipts and do what they ask for: suppress a dead or complaining address, withdraw consent, settle a
    message whose outcome was unknown. A receipt that is known already asks for nothing.

    ``kinds`` are the channel's address kinds. The answer is how many were new.
    """
    pairs = list(zip(receipts, _messages(work, account, receipts), strict=True))
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
            "detail": [receipt.detail[:200] for receipt, _ in known.values()],
        },
        ignore_known=True,
    )
    settled = {
        message.id: (SENT, f"receipt_{receipt.state}")
        for receipt, message in known.values()
        if message.state in (UNKNOWN, SENDING) and receipt.state in PROOF_OF_SENDING
    }
    if settled:
        set_state(work, settled, owner=None, lease_until=None)
    strangers = [(receipt, None) for receipt, message in pairs if message is None]
    for receipt, message in (*known.values(), *strangers):
        _act(work, account, receipt, message, kinds)
    return stored


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
        sa.select(Message).where(
            Message.account_id == account.id, sa.or_(Message.external_id.in_(external), Message.key.in_(keys))
        )
    ).all()
    by_external = {row.external_id: row for row in rows if row.external_id}
    by_key = {row.key: row for row in rows}
    return [by_key.get(receipt.key) or by_external.get(receipt.external_id) for receipt in receipts]


def _act(work: Work, account: ChannelAccount, receipt: Receipt, message: Message | None, kinds: Sequence[str]) -> None:
    act = WITHDRAWING.get(receipt.state)
    if act is not None and message is not None:
        withdraw(
            work,
            message.profile_id,
            message.purpose,
            message.channel,
            source=f"{account.channel} {act}",
            evidence={"message": message.id},
        )
    reason = SUPPRESSING.get(receipt.state)
    if reason is None:
        return
    blinds = _addresses(work, receipt, message, kinds)
    columns: bulk.Columns = {
        "kind": [kind for kind, _ in blinds],
        "blind": [blind for _, blind in blinds],
        "channel": [account.channel] * len(blinds),
        "reason": [reason] * len(blinds),
        "created_at": [to_millis(work.now)] * len(blinds),
    }
    bulk.insert(work.session, Suppression, columns, ignore_known=True)


def _addresses(work: Work, receipt: Receipt, message: Message | None, kinds: Sequence[str]) -> list[tuple[str, bytes]]:
    """Which addresses to shut: the one the receipt names, else the message's person's only one of the best kind."""
    out = []
    for kind in kinds:
        value = normalise(kind, receipt.address) if receipt.address else None
        if value is not None:
            return [(kind, work.vault.blind(work.client_id, kind, value))]
    if message is not None:
        for kind in kinds:
            rows = work.session.scalars(
                sa.select(Identity.blind)
                .where(Identity.profile_id == message.profile_id, Identity.kind == kind)
                .limit(2)
            ).all()
            if len(rows) == 1:
                out.append((kind, bytes(rows[0])))
                break
    return out
