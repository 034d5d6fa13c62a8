"""What a rule operator implements: one condition about a person, as SQL for everybody and in memory for one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
class FactView:
    """One fact of the person: an event, an order or a touch."""

    type: str
    channel: str
    at: dt.datetime
    amount: int | None
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RuleSubject:
    """Everything about one person that a rule may ask."""

    profile_id: int
    attributes: Mapping[str, Any]
    facts: Sequence[FactView]
    tags: frozenset[str]
    scores: Mapping[str, float]
    consents: frozenset[tuple[str, str]]
    identity_kinds: frozenset[str]
    now: dt.datetime


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
