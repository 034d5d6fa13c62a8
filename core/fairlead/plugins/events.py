"""Typed domain events, handed to ``fairlead_on_event`` after the transaction that caused them has committed.

An event names things by id and holds no personal data. It is delivered at most once, in the process that committed: a
crash between the commit and the call loses it. So what must not be missed belongs into rows, not into a listener.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something that happened in one client."""

    key: str
    type: str
    client_id: int
    at: dt.datetime
    subject: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class EventType:
    """The types the core raises."""

    IMPORT_FINISHED = "import.finished"
    SEGMENT_REFRESHED = "segment.refreshed"
    JOURNEY_ACTIVATED = "journey.activated"
    JOURNEY_PAUSED = "journey.paused"
    MESSAGE_UNKNOWN = "message.unknown"
    ACCOUNT_FAILED = "account.failed"
    ACCOUNT_RECOVERED = "account.recovered"
