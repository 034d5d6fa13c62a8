"""Taking in what a platform pushes: verified by the plugin over the raw bytes, stored once, then answered."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fairlead.channels.connection import open_account
from fairlead.channels.model import WebhookDelivery
from fairlead.channels.service import get_account
from fairlead.errors import NotFound
from fairlead.facts.ingest import take_order_records
from fairlead.messaging.receipts import take_receipts
from fairlead.plugins.contracts.channel import InboundOutcome, InboundRequest, ReceivesWebhooks, SendsMessages
from fairlead.storage import bulk
from fairlead.storage.types import to_millis

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead
    from fairlead.work import Work

LONGEST_ID = 120
USABLE = ("connected", "failed", "paused")


def deliver(runtime: Fairlead, client: str, account_id: int, request: InboundRequest) -> InboundOutcome:
    """Hand a request to the account's channel and store what it carried. The same delivery again changes nothing.

    Raises ``NotFound`` where no such account takes webhooks, and whatever the plugin raises from the ladder.
    """
    client_id = runtime.client(client).id
    opened = open_account(runtime, client_id, account_id)
    channel = opened.channel
    if not isinstance(channel, ReceivesWebhooks) or opened.account.state not in USABLE:
        raise NotFound("there is no such account")
    outcome = channel.receive(opened.context, request)
    kinds = channel.address_kinds if isinstance(channel, SendsMessages) else ()

    def store(work: Work) -> None:
        known: bulk.Columns = {
            "account_id": [account_id],
            "dedupe_id": [_dedupe_id(outcome.dedupe_id, request.body)],
            "received_at": [to_millis(work.now)],
        }
        if not bulk.insert(work.session, WebhookDelivery, known, ignore_known=True):
            return
        account = get_account(work, account_id)
        take_order_records(work, account.channel, outcome.orders)
        if outcome.receipts:
            take_receipts(work, account, outcome.receipts, kinds)

    runtime.run(client_id, store)
    return outcome


def _dedupe_id(told: str, body: bytes) -> str:
    """The platform's id of a delivery, or a digest of it or of the body where it has none that fits."""
    if 0 < len(told) <= LONGEST_ID:
        return told
    return hashlib.blake2b(told.encode() or body, digest_size=16).hexdigest()
