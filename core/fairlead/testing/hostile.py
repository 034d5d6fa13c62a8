"""A channel that is nasty on purpose: whatever an outside service has ever done to a caller, by a fixed seed.

It is registered in tests only. The core must survive it: no message lost, none sent twice, no foreign exception beyond
the line that called it.
"""

from __future__ import annotations

import datetime as dt
import enum
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fairlead.plugins.contracts.channel import (
    ChannelContext,
    Health,
    HealthState,
    InboundOutcome,
    InboundRequest,
    OrderRecord,
    OutgoingMessage,
    Receipt,
    ReceiptState,
    SendLimits,
    SendResult,
    SendState,
    Window,
)
from fairlead.plugins.errors import FixCredentials, OutcomeUnknown, RetryLater
from fairlead.plugins.hookspecs import hookimpl
from fairlead.plugins.manifest import Capability, Kind, Manifest, Title
from fairlead.testing.fakes import FakeClock


class Mood(enum.StrEnum):
    """One way to misbehave."""

    GOOD = "good"
    SLOW = "slow"
    BUSY = "busy"
    PARTIAL = "partial"
    MALFORMED = "malformed"
    WRONG_ORDER = "wrong_order"
    MISSING = "missing"
    EXTRA = "extra"
    FOREIGN_KEY = "foreign_key"
    FOREIGN_ERROR = "foreign_error"
    LOST_ANSWER = "lost_answer"
    CREDENTIALS = "credentials"


class VendorError(Exception):
    """Stands for the exception class of a vendor's library, which a well-behaved plugin never lets out."""


class HostileChannel:
    """Registered as channel ``hostile``. ``moods`` is played in order, then drawn by ``seed``.

    ``delivered`` counts how often the far side took each key, whatever the caller was told. ``slow`` moves ``clock``
    by ``delay`` seconds instead of sleeping.
    """

    name = "hostile"
    idempotent = False
    address_kinds: tuple[str, ...] = ("phone", "email")
    manifest = Manifest(
        name="hostile",
        kind=Kind.CHANNEL,
        version="1.0",
        title=Title("刁难渠道", "Hostile channel"),
        description=Title("故意制造各种故障，仅用于测试", "Misbehaves on purpose, for tests only"),
        capabilities=frozenset({Capability.MESSAGES, Capability.ORDERS, Capability.WEBHOOKS}),
    )

    def __init__(
        self,
        seed: int = 0,
        moods: Sequence[Mood] = (),
        *,
        idempotent: bool = False,
        clock: FakeClock | None = None,
        delay: float = 90.0,
    ) -> None:
        self.idempotent = idempotent
        self.clock = clock or FakeClock()
        self.delay = delay
        self.delivered: Counter[str] = Counter()
        self.played: list[Mood] = []
        self._random = random.Random(seed)  # noqa: S311 - a test's script, not a secret
        self._script = list(moods)
        self._lock = threading.Lock()
        self._deliveries = 0

    # -- as a plugin ------------------------------------------------------------------------------------------------

    @hookimpl
    def fairlead_register_channels(self, register: Callable[[Any], None]) -> None:
        """The object is its own plugin: ``Plugins.for_tests(HostileChannel())``."""
        register(self)

    # -- as a channel -----------------------------------------------------------------------------------------------

    def check(self, context: ChannelContext) -> Health:
        """Changes its mind about its health."""
        del context
        mood = self._next((Mood.GOOD, Mood.SLOW, Mood.BUSY, Mood.CREDENTIALS, Mood.FOREIGN_ERROR))
        self._raise(mood)
        return Health(HealthState.DEGRADED if mood is Mood.SLOW else HealthState.OK, detail=mood.value)

    def limits(self, context: ChannelContext) -> SendLimits:
        """Takes few at once."""
        del context
        return SendLimits(batch=7, per_second=3.0)

    def send(self, context: ChannelContext, messages: Sequence[OutgoingMessage]) -> Sequence[SendResult]:
        """Deliver some, all or none, and tell the truth, half of it, or something else."""
        del context
        mood = self._next(tuple(Mood))
        self._raise(mood)
        taken = messages[: len(messages) // 2] if mood is Mood.PARTIAL else messages
        with self._lock:
            for message in taken:
                if not (self.idempotent and self.delivered[message.key]):
                    self.delivered[message.key] += 1
        if mood is Mood.LOST_ANSWER:
            raise OutcomeUnknown("the answer was lost")
        return _told(mood, messages, len(taken))

    def sync_orders(self, context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        """Orders twice, an older state after a newer one, one outside the window, and a broken line at the end."""
        del context
        new = self._order("T1", window.start, window.start + (window.end - window.start) / 2, "paid")
        old = self._order("T1", window.start, window.start, "created")
        stranger = self._order("T2", window.start - dt.timedelta(days=400), window.end + dt.timedelta(days=1), "paid")
        yield [new]
        yield []
        yield [old, new, stranger]
        raise RetryLater("the line broke after the third page", retry_after=1.0)

    def receive(self, context: ChannelContext, request: InboundRequest) -> InboundOutcome:
        """Every delivery twice under one id; the clock of the far side is a day ahead."""
        if request.headers.get("x-hostile-signature") != "genuine":
            raise FixCredentials("the signature does not fit")
        self._deliveries += 1
        at = context.now() + dt.timedelta(days=1)
        key = request.body.decode("utf-8", errors="replace")
        return InboundOutcome(
            dedupe_id=f"delivery-{(self._deliveries + 1) // 2}",
            receipts=[Receipt(ReceiptState.DELIVERED, at, key=key), Receipt(ReceiptState.DELIVERED, at, key=key)],
        )

    def _next(self, allowed: Sequence[Mood]) -> Mood:
        with self._lock:
            mood = self._script.pop(0) if self._script else self._random.choice(allowed)
            self.played.append(mood)
        return mood

    def _raise(self, mood: Mood) -> None:
        if mood is Mood.SLOW:
            self.clock.advance(seconds=self.delay)
        elif mood is Mood.BUSY:
            raise RetryLater("429 Too Many Requests", code="429", retry_after=30.0)
        elif mood is Mood.CREDENTIALS:
            raise FixCredentials("the token is expired", code="401")
        elif mood is Mood.FOREIGN_ERROR:
            raise VendorError("connection pool is closed")

    @staticmethod
    def _order(source_id: str, created: dt.datetime, updated: dt.datetime, status: str) -> OrderRecord:
        return OrderRecord(source_id, created, updated, status, currency="CNY", amount=9_900, paid_amount=9_900)


def _told(mood: Mood, messages: Sequence[OutgoingMessage], taken: int) -> Sequence[SendResult]:
    results = [SendResult(message.key, SendState.SENT, external_id=f"x-{message.key}") for message in messages]
    if mood is Mood.PARTIAL:
        refused = [SendResult(message.key, SendState.REFUSED, reason="blacklisted") for message in messages[taken:]]
        return [*results[:taken], *refused]
    if mood is Mood.MALFORMED:
        return [{"code": 0, "data": None} for _ in messages]  # type: ignore[misc]
    if mood is Mood.WRONG_ORDER:
        return results[::-1]
    if mood is Mood.MISSING:
        return results[:-1]
    if mood is Mood.EXTRA:
        return [*results, SendResult("nobody-asked", SendState.SENT)]
    if mood is Mood.FOREIGN_KEY:
        return [SendResult("nobody-asked", SendState.SENT), *results[1:]]
    return results
