"""What a journey node implements: where everybody who stands on it goes next, decided for a whole batch at once.

A node moves people and asks for effects; it never performs one. The engine writes the new state, the step log and the
effects in one transaction, under the key ``(enrolment, node, visit)``, so a crash repeats the decision, not the effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from fairlead.plugins.manifest import Manifest

if TYPE_CHECKING:
    from fairlead.work import Work

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NodeBatch:
    """People standing on one node of one journey version; all arrays have shape ``(people,)``.

    ``now`` and the entries of ``entered_at`` (when each came to this node) are epoch milliseconds UTC. ``session`` is
    the one of the running transaction, scoped to the client.
    """

    client_id: int
    now: int
    zone: str
    profile_ids: IntArray
    visits: IntArray
    entered_at: IntArray
    session: Any


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Ask for a message to the people at ``people`` (indexes into the batch) by an account, with a template."""

    account: str
    template: str
    people: IntArray
    purpose: str = "marketing"


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """``outlet`` holds an index into :meth:`JourneyNode.outlets`, or ``-1`` to stay until ``due_at`` (epoch ms).

    ``due_at`` is only read where ``outlet`` is ``-1``. ``note`` (one per person, may be empty) goes to the step log.
    """

    outlet: IntArray
    due_at: IntArray | None = None
    note: Sequence[str] = ()
    sends: Sequence[SendRequest] = ()


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
    """What a node may refer to when it compiles itself: columns of the person's place and the running instant.

    ``work`` is the unit of work the decision runs in, ``now`` its instant in epoch milliseconds; ``people`` selects the
    profiles the decision is about, so that a condition can be answered for these alone.
    """

    work: Work
    now: int
    zone: str
    profile_id: sa.ColumnElement[int]
    entered_at: sa.ColumnElement[int]
    enrolment_id: sa.ColumnElement[int]
    people: sa.Select[int]


@runtime_checkable
class CompilesToSql(Protocol):
    """Optional: the same decision as SQL expressions, for a million people without a row in Python."""

    def outlet_sql(self, context: NodeSqlContext, settings: Any) -> sa.ColumnElement[int]:
        """Index into the outlets, or ``-1`` to stay."""
        ...

    def due_sql(self, context: NodeSqlContext, settings: Any) -> sa.ColumnElement[int]:
        """When those who stay are looked at again (epoch ms)."""
        ...
