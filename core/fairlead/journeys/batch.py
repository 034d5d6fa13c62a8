"""The people being moved in one transaction, as a temporary table; one statement does one thing for all of them.

This module speaks to bare tables: the batch holds rows of one client only, taken with the client's id in the condition,
and every statement that writes names the client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from fairlead.journeys.model import Enrolment, Step
from fairlead.storage import ids
from fairlead.storage.session import ScopedSession

IntArray = npt.NDArray[np.int64]
STAY = -1

BATCH = sa.Table(
    "journey_batch",
    sa.MetaData(),
    sa.Column(
        "enrolment_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    sa.Column("profile_id", sa.BigInteger, nullable=False),
    sa.Column("visit", sa.Integer, nullable=False),
    sa.Column("entered_at", sa.BigInteger, nullable=False),
    sa.Column("outlet", sa.Integer),
    sa.Column("due_at", sa.BigInteger),
    sa.Column("note", sa.String(120), nullable=False, server_default=""),
    prefixes=["TEMPORARY"],
    # A pooled connection must not carry one client's people into another's transaction.
    postgresql_on_commit="DELETE ROWS",
)
ENROLMENT: sa.Table = Enrolment.__table__  # type: ignore[assignment]
STEP: sa.Table = Step.__table__  # type: ignore[assignment]


def take(session: ScopedSession, version_id: int, node: int, now: int, limit: int) -> int:
    """Fill the batch with people whose time on this node has come, oldest first; others' batches are passed over."""
    if session.is_postgresql:
        session.bare(sa.text("SET LOCAL client_min_messages = warning"))
    session.bare(sa.schema.CreateTable(BATCH, if_not_exists=True))
    session.bare(sa.delete(BATCH))
    due = (
        sa.select(ENROLMENT.c.id, ENROLMENT.c.profile_id, ENROLMENT.c.visit, ENROLMENT.c.entered_node_at)
        .where(
            ENROLMENT.c.client_id == session.client_id,
            ENROLMENT.c.version_id == version_id,
            ENROLMENT.c.node == node,
            ENROLMENT.c.state == sa.literal_column("'active'"),
            ENROLMENT.c.due_at <= now,
        )
        .order_by(ENROLMENT.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    columns = ["enrolment_id", "profile_id", "visit", "entered_at"]
    taken = session.bare(sa.insert(BATCH).from_select(columns, due, include_defaults=False), preserve_rowcount=True)
    return int(taken.rowcount)


def decide(session: ScopedSession, outlet: sa.ColumnElement[int], due_at: sa.ColumnElement[int]) -> None:
    """Write what an SQL node decided."""
    session.bare(sa.update(BATCH).values(outlet=outlet, due_at=due_at))


def people(session: ScopedSession) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Enrolment, profile, visit and arrival of everybody in the batch, by rising enrolment."""
    rows = session.bare(
        sa.select(BATCH.c.enrolment_id, BATCH.c.profile_id, BATCH.c.visit, BATCH.c.entered_at).order_by(
            BATCH.c.enrolment_id
        )
    ).all()
    table = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def decide_each(
    session: ScopedSession, enrolments: IntArray, outlets: IntArray, due_at: IntArray, notes: Sequence[str]
) -> None:
    """Write what a node decided person by person."""
    rows = zip(enrolments.tolist(), outlets.tolist(), due_at.tolist(), notes, strict=True)
    session.bare(
        sa.update(BATCH)
        .where(BATCH.c.enrolment_id == sa.bindparam("enrolment"))
        .values(outlet=sa.bindparam("o"), due_at=sa.bindparam("d"), note=sa.bindparam("n")),
        [{"enrolment": enrolment, "o": outlet, "d": due, "n": note[:120]} for enrolment, outlet, due, note in rows],
    )


def undecided(session: ScopedSession, outlets: int, now: int) -> int:
    """How many in the batch have an outlet that does not exist, or stay without a later time."""
    fault = sa.or_(
        BATCH.c.outlet.is_(None),
        ~BATCH.c.outlet.between(STAY, max(outlets, 1) - 1),
        sa.and_(BATCH.c.outlet == STAY, sa.func.coalesce(BATCH.c.due_at, 0) <= now),
    )
    return int(session.bare(sa.select(sa.func.count()).select_from(BATCH).where(fault)).scalar_one())


def log_steps(session: ScopedSession, node: int, outlets: Sequence[str], now: int) -> None:
    """Write the step of everybody who moves on."""
    name = sa.case(dict(enumerate(outlets)), value=BATCH.c.outlet, else_="end") if outlets else sa.literal("end")
    moved = sa.select(
        sa.literal(session.client_id),
        BATCH.c.enrolment_id,
        BATCH.c.visit,
        sa.literal(node),
        name,
        sa.literal(now),
        BATCH.c.note,
    ).where(BATCH.c.outlet != STAY)
    columns = ["client_id", "enrolment_id", "visit", "node", "outlet", "at", "note"]
    session.bare(sa.insert(STEP).from_select(columns, moved, include_defaults=False))


def move(session: ScopedSession, targets: Mapping[int, int], now: int, visit_limit: int, *, goal: bool) -> int:
    """Move people to the node behind their outlet, end those who have none, let the others wait; the answer is how many
    moved. ``targets`` maps outlet numbers to nodes; with ``goal``, outlet 0 marks success."""
    outlet = BATCH.c.outlet
    next_node = sa.case(dict(targets), value=outlet, else_=ENROLMENT.c.node) if targets else ENROLMENT.c.node
    goes_on = sa.and_(outlet.in_(list(targets)), BATCH.c.visit + 1 < visit_limit) if targets else sa.false()
    # Left alone, SQLite goes through all enrolments of the client for every batch. So the batch names the rows, and the
    # client, still checked, is no index to go by.
    mine = sa.and_(
        ENROLMENT.c.client_id + 0 == session.client_id,
        ENROLMENT.c.id == BATCH.c.enrolment_id,
        ENROLMENT.c.id.in_(sa.select(BATCH.c.enrolment_id)),
    )
    ended = sa.case((goes_on, sa.null()), else_=now)
    moved = session.bare(
        sa.update(ENROLMENT)
        .where(mine, outlet != STAY)
        .values(
            node=next_node,
            visit=ENROLMENT.c.visit + 1,
            due_at=sa.literal(now, sa.BigInteger),
            entered_node_at=sa.literal(now, sa.BigInteger),
            state=sa.case((goes_on, "active"), (outlet.in_(list(targets)), "exited"), else_="finished"),
            finished_at=sa.cast(ended, sa.BigInteger),
            goal_at=sa.case((outlet == 0, now), else_=ENROLMENT.c.goal_at) if goal else ENROLMENT.c.goal_at,
        )
    )
    session.bare(
        sa.update(ENROLMENT).where(mine, outlet == STAY).values(due_at=sa.type_coerce(BATCH.c.due_at, sa.BigInteger))
    )
    return int(moved.rowcount)


def fresh_ids(session: ScopedSession, count: int) -> sa.ColumnElement[int]:
    """An expression that gives each row of an INSERT … SELECT a new id."""
    if session.is_postgresql:
        return sa.func.nextval(ids.SEQUENCE)
    first = int(ids.reserve(session.connection(), count)[0]) if count else 0
    return sa.func.row_number().over() + (first - 1)
