"""Taking in what a platform pushes: verified by the plugin over the raw bytes, stored once, then answered."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from fairlead.channels.connection import OpenAccount, open_account, stranger
from fairlead.channels.model import WebhookDelivery
from fairlead.channels.service import get_account
from fairlead.clients.service import SLUG
from fairlead.errors import NotFound
from fairlead.facts.ingest import take_order_records
from fairlead.messaging.receipts import take_receipts
from fairlead.plugins.contracts.channel import InboundOutcome, InboundRequest, ReceivesWebhooks, SendsMessages
from fairlead.plugins.errors import Abort, PluginError
from fairlead.storage import bulk
from fairlead.storage.types import to_millis

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead
    from fairlead.work import Work

log = structlog.get_logger("fairlead.channels")

LONGEST_ID = 120
KEPT = dt.timedelta(days=7)
MOST_ACCOUNT = 2**63 - 1
USABLE = ("connected", "failed", "paused")


def deliver(runtime: Fairlead, client: str, account_id: int, request: InboundRequest) -> InboundOutcome:
    """Hand a request to the account's channel and store what it carried. The same delivery again changes nothing.

    Raises ``NotFound`` where no such account takes webhooks, and whatever the plugin raises from the ladder. What else
    a plugin raises is logged by its type and becomes ``Abort``, as in every other call of a channel.
    """
    if not SLUG.fullmatch(client) or not 0 < account_id <= MOST_ACCOUNT:
        raise NotFound("there is no such account")
    found = runtime.client(client)
    if found.state != "active":
        raise NotFound("there is no such account")
    client_id = found.id
    opened = open_account(runtime, client_id, account_id)
    channel = opened.channel
    if not isinstance(channel, ReceivesWebhooks) or opened.account.state not in USABLE:
        raise NotFound("there is no such account")
    outcome = _receive(runtime, opened, channel, request)
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


def forget_deliveries(work: Work) -> int:
    """Delete the ids of deliveries that no platform repeats any more, of all clients; answers how many."""
    gone = sa.delete(WebhookDelivery).where(WebhookDelivery.received_at <= work.now - KEPT)
    return int(getattr(work.session.execute(gone), "rowcount", 0))


def _receive(
    runtime: Fairlead, opened: OpenAccount, channel: ReceivesWebhooks, request: InboundRequest
) -> InboundOutcome:
    """What the plugin makes of a request that anybody may have sent, counted; its own mistakes become ``Abort``."""
    name, count = opened.entry.name, runtime.metrics.channel_calls.labels
    try:
        outcome: object = channel.receive(opened.context, request)
        if not isinstance(outcome, InboundOutcome):
            raise Abort(f"the plugin of {name} answers a webhook with something else than an outcome")
    except PluginError as error:
        count(name, "receive", error.rung).inc()
        raise
    except Exception as error:
        count(name, "receive", Abort.rung).inc()
        # The request is a stranger's, so neither its content nor the text of the exception is for the log.
        log.warning("a webhook was not taken", channel=name, account=opened.account.id, type=type(error).__name__)
        raise stranger(error, name) from error
    count(name, "receive", "ok").inc()
    return outcome


def _dedupe_id(told: str, body: bytes) -> str:
    """The platform's id of a delivery, or a digest of it or of the body where it has none that fits."""
    if 0 < len(told) <= LONGEST_ID:
        return told
    return hashlib.blake2b(told.encode() or body, digest_size=16).hexdigest()
