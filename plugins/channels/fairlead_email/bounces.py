"""What comes back by mail: bounces (RFC 3464), complaints (ARF, RFC 5965) and unsubscribe mails.

A report counts only when it carries a genuine token of ours (see :mod:`fairlead_email.addresses`): in the address it
was sent to, or in the headers of the returned mail. Everybody can send mail to a bounce address. An out-of-office
answer says nothing about the mail.

===========================================  =============================================================
failed, 5.1.1 5.1.2 5.1.3 5.1.6 5.1.10 5.4.4  bounced: the address does not exist
failed, anything else                         soft bounced; 5.2.2 is a full mailbox, 5.7.x is the sender's matter
delayed, relayed, expanded                    nothing: the mail is still on its way, or out of sight
delivered                                     delivered
===========================================  =============================================================
"""

from __future__ import annotations

import datetime as dt
import email
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import getaddresses
from itertools import islice

from fairlead.plugins.contracts.channel import Receipt, ReceiptState
from fairlead_email.addresses import TOKEN, VERP_PREFIX, is_genuine, message_id
from fairlead_email.mapping import secret_of
from fairlead_email.settings import EmailSettings

HARD = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.4.4"})
# Strangers write to bounce addresses too, and the standard parser's work grows with the square of nesting and of
# header length. The report and the returned headers come first; what follows is the returned mail's body.
READ_BYTES = 128 * 1024
MAX_BOUNDARIES = 50
MAX_RECEIPTS = 50
_CODE = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_ENVELOPE = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To")
_COMPLAINTS = {
    "abuse": ReceiptState.COMPLAINED,
    "opt-out": ReceiptState.UNSUBSCRIBED,
    "opt-out-list": ReceiptState.UNSUBSCRIBED,
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient's block of a delivery report; ``action`` is lower case, ``status`` is ``x.y.z`` or empty."""

    recipient: str
    action: str
    status: str
    original: str = ""
    diagnostic: str = ""

    @property
    def code(self) -> str:
        """The status, or the server's own code where the report only says ``5.0.0`` (as QQ and 163 do)."""
        inner = _CODE.search(self.diagnostic)
        if inner and (not self.status or (self.status.endswith(".0.0") and self.status[0] == inner[1][0])):
            return inner[1]
        return self.status


def parse_dsn(raw: bytes) -> Sequence[Delivery]:
    """The recipients of a delivery report in their order; none when ``raw`` is not one."""
    return _deliveries(email.message_from_bytes(raw))


def read_receipts(raw: bytes, settings: EmailSettings, now: dt.datetime) -> Sequence[Receipt]:
    """What a returned mail says about mails of this account. What cannot be read says nothing."""
    raw = raw[:READ_BYTES]
    if raw.lower().count(b"boundary") > MAX_BOUNDARIES:
        return []
    try:
        return list(islice(_receipts(email.message_from_bytes(raw), settings, now), MAX_RECEIPTS))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # The standard parser has many ways to give up on broken mails; all of them mean the same here.
        return []


def _receipts(mail: Message, settings: EmailSettings, now: dt.datetime) -> Iterator[Receipt]:
    kind = _report_type(mail)
    if kind == "delivery-status":
        yield from _bounce(mail, settings, now)
    elif kind == "feedback-report":
        yield from _complaint(mail, settings, now)
    elif not kind and settings.unsubscribe_mailto and _field(mail, "Auto-Submitted").lower() in ("", "no"):
        to = {address.lower() for _, address in getaddresses([_field(mail, name) for name in _ENVELOPE])}
        token = _genuine(re.findall(rf"unsubscribe\s+({TOKEN})\b", _field(mail, "Subject").lower()), settings)
        if token and settings.unsubscribe_mailto.lower() in to:
            yield Receipt(ReceiptState.UNSUBSCRIBED, now, _external_id(token, settings))


def _bounce(mail: Message, settings: EmailSettings, now: dt.datetime) -> Iterator[Receipt]:
    deliveries, returned = _deliveries(mail), _returned(mail)
    token = _genuine(_tokens([_field(mail, name) for name in _ENVELOPE], returned, settings), settings)
    if not token and secret_of(settings):
        return
    sent_to = {address.lower() for _, address in getaddresses([_field(returned, "To")])} if returned else set()
    for delivery in deliveries:
        state = _state(delivery)
        if state is None:
            continue
        ours = {delivery.recipient.lower(), delivery.original.lower()} & sent_to
        if state is ReceiptState.BOUNCED and len(deliveries) > 1 and not ours:
            # One dead address behind a list or alias is not the person we wrote to.
            state = ReceiptState.SOFT_BOUNCED
        detail = f"{delivery.code} refused by policy" if delivery.code.startswith("5.7.") else delivery.code
        if token:
            yield Receipt(state, now, _external_id(token, settings), detail=detail)
        else:
            yield Receipt(state, now, address=delivery.original or delivery.recipient, detail=detail)


def _complaint(mail: Message, settings: EmailSettings, now: dt.datetime) -> Iterator[Receipt]:
    part = _part(mail, "message/feedback-report")
    inner = part.get_payload() if part is not None else None
    fields = inner[0] if isinstance(inner, list) and inner else None
    if not isinstance(fields, Message):
        return
    state = _COMPLAINTS.get(_field(fields, "Feedback-Type").lower())
    token = _genuine(_tokens([_field(fields, "Original-Mail-From")], _returned(mail), settings), settings)
    if state and token:
        yield Receipt(state, now, _external_id(token, settings), detail=_field(fields, "Feedback-Type").lower())


# -- reading --------------------------------------------------------------------------------------------------------


def _report_type(mail: Message) -> str:
    if mail.get_content_type() != "multipart/report":
        return ""
    return str(mail.get_param("report-type") or "other").lower()


def _part(mail: Message, *kinds: str) -> Message | None:
    """A direct part of the report: what lies deeper belongs to the returned mail and may say anything."""
    parts = mail.get_payload()
    if not isinstance(parts, list):
        return None
    return next((part for part in parts if isinstance(part, Message) and part.get_content_type() in kinds), None)


def _deliveries(mail: Message) -> Sequence[Delivery]:
    part = _part(mail, "message/delivery-status") if _report_type(mail) == "delivery-status" else None
    blocks = part.get_payload() if part is not None else None
    if not isinstance(blocks, list):
        return []
    return [
        Delivery(
            recipient=_field(block, "Final-Recipient").rpartition(";")[2].strip(),
            action=_field(block, "Action").lower(),
            status=_leading_code(_field(block, "Status")),
            original=_field(block, "Original-Recipient").rpartition(";")[2].strip(),
            diagnostic=_field(block, "Diagnostic-Code"),
        )
        for block in blocks
        if isinstance(block, Message) and _field(block, "Final-Recipient")
    ]


def _returned(mail: Message) -> Message | None:
    """The headers of the mail that came back, whole or in part."""
    part = _part(mail, "message/rfc822", "text/rfc822-headers", "message/rfc822-headers")
    if part is None:
        return None
    inner = part.get_payload()
    if isinstance(inner, list):
        return inner[0] if inner and isinstance(inner[0], Message) else None
    data = part.get_payload(decode=True)
    return email.message_from_bytes(data) if isinstance(data, bytes) else None


def _field(mail: Message | None, name: str) -> str:
    """A header on one line; empty when it is missing."""
    value = mail.get(name) if mail is not None else None
    return " ".join(str(value).split()) if value is not None else ""


def _leading_code(text: str) -> str:
    found = re.match(r"[245]\.\d{1,3}\.\d{1,3}(?!\d)", text)
    return found[0] if found else ""


def _state(delivery: Delivery) -> ReceiptState | None:
    if delivery.action == "failed":
        return ReceiptState.BOUNCED if delivery.code in HARD else ReceiptState.SOFT_BOUNCED
    return ReceiptState.DELIVERED if delivery.action == "delivered" else None


# -- whose it is ----------------------------------------------------------------------------------------------------


def _tokens(envelope: Sequence[str], returned: Message | None, settings: EmailSettings) -> Iterator[str]:
    domain = re.escape(settings.return_path_domain or "-")
    verp = re.compile(rf"(?<![\w.-]){VERP_PREFIX}({TOKEN})@{domain}(?![\w.-])")
    for text in (*envelope, _field(returned, "Return-Path")):
        yield from verp.findall(text.lower())
    own = re.escape(settings.message_id_domain or settings.own_domain)
    yield from re.findall(rf"<({TOKEN})@{own}>", _field(returned, "Message-ID").lower())


def _genuine(tokens: Iterator[str] | Sequence[str], settings: EmailSettings) -> str:
    return next((token for token in tokens if is_genuine(token, secret_of(settings))), "")


def _external_id(token: str, settings: EmailSettings) -> str:
    return message_id(token, settings.message_id_domain or settings.own_domain)
