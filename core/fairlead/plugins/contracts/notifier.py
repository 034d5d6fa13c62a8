"""What a notifier implements: tell staff (never customers) that something happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to staff. ``key`` makes a repeat recognisable; ``data`` holds no personal data."""

    key: str
    type: str
    at: dt.datetime
    title: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Notifier(Protocol):
    """Stateless; the connected target comes as the context's settings."""

    manifest: Manifest

    def notify(self, context: ChannelContext, notice: Notice) -> None:
        """Deliver, or raise from the ladder."""
        ...
