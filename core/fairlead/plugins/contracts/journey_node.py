"""What a journey node implements: where everybody who stands on it goes next, decided for a whole batch at once.

A node moves people and asks for effects; it never performs one. The engine writes the new state, the step log and the
effects in one transaction, under the key ``(enrolment, node, visit)``, so a crash repeats the decision, not the effect.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from fairlead.plugins.manifest import Manifest

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NodeBatch:
    """People standing on one node of one journey version; all arrays have shape ``(people,)``.

    ``arrived`` is true for those who just came and false for those whose wait is over. ``now`` and the entries of
    ``entered_at`` are epoch milliseconds UTC. ``sql`` is the session of the running transaction, scoped to the client.
    """

    client_id: int
    now: int
    zone: str
    profile_ids: IntArray
    visits: IntArray
    entered_at: IntArray
    arrived: npt.NDArray[np.bool_]
    sql: Any


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """``outlet`` holds an index into :meth:`JourneyNode.outlets`, or ``-1`` to stay until ``due_at`` (epoch ms).

    ``due_at`` is only read where ``outlet`` is ``-1``. ``note`` (one per person, may be empty) goes to the step log.
    """

    outlet: IntArray
    due_at: IntArray | None = None
    note: Sequence[str] = ()


@runtime_checkable
class JourneyNode(Protocol):
    """Stateless; ``settings`` is an instance of the manifest's settings model, checked when a version is validated."""

    manifest: Manifest

    def outlets(self, settings: Any) -> tuple[str, ...]:
        """Names of the ways out, in a fixed order. A node without any ends the journey."""
        ...

    def run(self, batch: NodeBatch, settings: Any) -> NodeOutcome:
        """Decide for everybody in ``batch``. Must be deterministic for the same state and ``batch.now``."""
        ...


@dataclass(frozen=True, slots=True)
class NodeSqlContext:
    """What a node may refer to when it compiles itself: columns of the enrolment and the running instant."""

    client_id: int
    now: int
    zone: str
    profile_id: sa.ColumnElement[int]
    entered_at: sa.ColumnElement[int]
    enrolment_id: sa.ColumnElement[int]
    instant: dt.datetime


@runtime_checkable
class CompilesToSql(Protocol):
    """Optional: the same decision as one SQL expression, for a million people without a row in Python."""

    def outlet_sql(self, context: NodeSqlContext, settings: Any) -> sa.ColumnElement[int]:
        """Index into the outlets, for those whose time has come."""
        ...

    def due_sql(self, context: NodeSqlContext, settings: Any) -> sa.ColumnElement[int] | None:
        """When somebody who arrives now is due (epoch ms); ``None`` means at once."""
        ...
