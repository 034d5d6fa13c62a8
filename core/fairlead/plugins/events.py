"""Typed domain events, handed to ``fairlead_on_event`` after the transaction that caused them has committed.

An event names things by id and holds no personal data. It may be delivered again after a crash; ``key`` is the same
each time.
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
