"""What a channel plugin implements: one small protocol per capability.

A channel is a stateless object; everything about one connected account comes in as :class:`ChannelContext`. Calls are
synchronous, run in a worker thread, and may be repeated. All amounts are integer minor units with an ISO 4217
currency; all instants are aware datetimes in UTC.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from fairlead.plugins.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ChannelContext:
    """One connected account of one client, for the length of one call.

    ``settings`` is an instance of the manifest's settings model with secrets readable. ``http`` is a guarded
    ``httpx2.Client`` (time-outs, no redirects, no private addresses unless the operator allowed the host).
    ``save_settings`` stores changed settings (rotated tokens) before it returns. ``now`` is the only clock.

    What ``send`` has not begun at ``not_after`` it must leave (:attr:`SendState.NOT_TRIED`): the night may have begun
    since, or somebody may have withdrawn.
    """

    client: str
    account: str
    settings: Any
    http: Any
    now: Callable[[], dt.datetime]
    save_settings: Callable[[Mapping[str, Any]], None]
    not_after: dt.datetime | None = None

    def is_time_up(self) -> bool:
        """Whether nothing more may be begun in this call."""
        return self.not_after is not None and self.now() >= self.not_after


class HealthState(enum.StrEnum):
    """How an account is doing."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Health:
    """Result of a check; ``detail`` is for operators and holds no secret."""

    state: HealthState
    detail: str = ""
    latency_ms: int | None = None


@runtime_checkable
class Channel(Protocol):
    """The least a channel is: a manifest and a check that costs nothing and changes nothing."""

    manifest: Manifest

    def check(self, context: ChannelContext) -> Health:
        """Say whether the account works now. Raise from the ladder when it surely does not."""
        ...


# -- capability: messages -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to one person. ``key`` is the idempotency key: the same key is the same message, for ever."""

    key: str
    address: str
    subject: str = ""
    text: str = ""
    html: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    unsubscribe_url: str = ""
    purpose: str = "marketing"


class SendState(enum.StrEnum):
    """How the attempt for one message ended.

    RETRY is a failed attempt, of which a message has only so many; NOT_TRIED is none.
    """

    SENT = "sent"
    REFUSED = "refused"
    RETRY = "retry"
    NOT_TRIED = "not_tried"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SendResult:
    """The fate of one message, in the order given. ``external_id`` is the platform's id for receipts, for UNKNOWN too.

    ``reason`` is shown to people: it holds no address and no secret.
    """

    key: str
    state: SendState
    external_id: str = ""
    reason: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class SendLimits:
    """What this account can send: how much the platform takes at once, and to whose identities.

    ``scope`` is the app or shop of the account, as in :class:`IdentityClaim`: an identity of another scope is no
    address for it, one without a scope always is.
    """

    batch: int = 100
    per_second: float = 10.0
    scope: str = ""


@runtime_checkable
class SendsMessages(Protocol):
    """Capability ``messages``.

    ``idempotent`` says whether the platform drops a repeated ``key``: only then does the core ever send a message again
    whose outcome it does not know. ``address_kinds`` are the identity kinds it can reach, best first.
    """

    idempotent: bool
    address_kinds: tuple[str, ...]

    def limits(self, context: ChannelContext) -> SendLimits:
        """The batch size and rate of this account."""
        ...

    def send(self, context: ChannelContext, messages: Sequence[OutgoingMessage]) -> Sequence[SendResult]:
        """Send and return one result per message, in order. Raise from the ladder when the whole call failed.

        A channel that calls its platform more than once looks at ``context.is_time_up()`` before each call.
        """
        ...


@runtime_checkable
class NamesMessages(Protocol):
    """For a channel that sends messages under ids of its own: receipts find them even if the sender died on the way."""

    def external_id_of(self, context: ChannelContext, key: str) -> str:
        """The ``external_id`` of the message with this key. Works it out from its arguments, without any call."""
        ...


class ReceiptState(enum.StrEnum):
    """What the platform told later about a sent message."""

    DELIVERED = "delivered"
    READ = "read"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    SOFT_BOUNCED = "soft_bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One later word about one message, found by ``external_id`` or ``key``, or about ``address`` in general."""

    state: ReceiptState
    at: dt.datetime
    external_id: str = ""
    key: str = ""
    address: str = ""
    detail: str = ""


# -- capability: orders ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IdentityClaim:
    """``kind`` and ``value`` of something that points at a person; ``scope`` is the app or shop it is valid in."""

    kind: str
    value: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class OrderLineRecord:
    """One position of an order; ``amount`` is for the whole line."""

    sku: str
    title: str
    quantity: int
    amount: int
    category: str = ""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order as the platform shows it now. A newer ``updated_at`` of the same ``source_id`` replaces it."""

    source_id: str
    created_at: dt.datetime
    updated_at: dt.datetime
    status: str
    currency: str
    amount: int
    paid_amount: int = 0
    refund_amount: int = 0
    paid_at: dt.datetime | None = None
    region: str = ""
    identities: Sequence[IdentityClaim] = ()
    lines: Sequence[OrderLineRecord] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, ``start <= t < end``."""

    start: dt.datetime
    end: dt.datetime


@runtime_checkable
class SyncsOrders(Protocol):
    """Capability ``orders``."""

    def sync_orders(self, context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        """Yield pages of the orders changed in ``window``; the order of pages is free, a repeat does no harm."""
        ...


# -- capabilities: webhooks, credentials ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """A request that claims to come from the platform; ``body`` is the raw bytes, header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class InboundOutcome:
    """What a verified request carried, and the answer the platform expects. ``dedupe_id`` names the delivery."""

    dedupe_id: str
    orders: Sequence[OrderRecord] = ()
    receipts: Sequence[Receipt] = ()
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


@runtime_checkable
class ReceivesWebhooks(Protocol):
    """Capability ``webhooks``."""

    def receive(self, context: ChannelContext, request: InboundRequest) -> InboundOutcome:
        """Verify over the raw bytes, then parse. Raise :class:`~fairlead.plugins.errors.FixCredentials` if forged."""
        ...


@runtime_checkable
class RefreshesCredentials(Protocol):
    """Capability ``credentials``."""

    def refresh(self, context: ChannelContext) -> None:
        """Renew the token and store it with ``context.save_settings`` before returning. Called by one at a time."""
        ...
