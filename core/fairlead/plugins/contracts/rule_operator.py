"""What a rule operator implements: one condition about a person, as SQL for everybody and in memory for one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa

from fairlead.plugins.manifest import Manifest


@dataclass(frozen=True, slots=True)
class RuleSqlContext:
    """``profile_id`` is the column to correlate with; ``now`` is the instant of the evaluation (epoch ms UTC)."""

    client_id: int
    profile_id: sa.ColumnElement[int]
    now: int
    zone: str


@dataclass(frozen=True, slots=True)
class LineView:
    """One position of an order."""

    item: str
    category: str | None
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True)
class FactView:
    """One fact of the person: an event, an order or a touch.

    ``source`` says which of the three it is (``event``, ``order``, ``touch``); ``type`` is the event's type, else the
    source's name. ``fields`` holds the columns that only this source has: ``status``, ``currency``, ``region``,
    ``paid_amount`` and ``refund_amount`` of an order, ``kind`` and ``campaign`` of a touch.
    """

    type: str
    channel: str
    at: dt.datetime
    amount: int | None
    properties: Mapping[str, Any]
    source: str = "event"
    item: str | None = None
    category: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    lines: Sequence[LineView] = ()


@dataclass(frozen=True, slots=True)
class RuleSubject:
    """Everything about one person that a rule may ask.

    ``attributes`` holds the profile's own columns (``gender``, ``birth_date``, ``region``, ``language``, ``zone``,
    ``created_at``) beside the free ones. ``consents`` are the pairs of purpose and channel (``*`` for all) that are
    granted now, ``refusals`` those that were withdrawn or have expired.
    """

    profile_id: int
    attributes: Mapping[str, Any]
    facts: Sequence[FactView]
    tags: frozenset[str]
    scores: Mapping[str, float]
    consents: frozenset[tuple[str, str]]
    identity_kinds: frozenset[str]
    now: dt.datetime
    refusals: frozenset[tuple[str, str]] = frozenset()
    stage: str | None = None


@runtime_checkable
class RuleOperator(Protocol):
    """Stateless; ``arguments`` is an instance of the manifest's settings model.

    Both methods must agree on every person; the contract kit holds them to it.
    """

    manifest: Manifest

    def compile(self, context: RuleSqlContext, arguments: Any) -> sa.ColumnElement[bool]:
        """The condition, never NULL, for the profile in ``context.profile_id``."""
        ...

    def evaluate(self, subject: RuleSubject, arguments: Any) -> bool:
        """The same condition for one person in memory."""
        ...
