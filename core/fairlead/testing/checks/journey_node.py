"""What a journey node promises."""

from __future__ import annotations

import datetime as dt

import numpy as np
import sqlalchemy as sa

from fairlead.plugins.contracts.journey_node import CompilesToSql, NodeBatch, NodeOutcome, NodeSqlContext
from fairlead.testing.fakes import START
from fairlead.testing.harness import NodeHarness, default_node_harness
from fairlead.testing.subject import CheckList, Subject, broken, require, typed

CHECKS = CheckList()

NOW_MS = int(START.timestamp() * 1000)
DAY_MS = 86_400_000


@CHECKS.add(twin=True)
def outlets_are_stable(subject: Subject) -> None:
    """outlets() gives a tuple of different names, the same each time for the same settings."""
    with subject.open(NodeHarness, default_node_harness) as harness:
        outlets = subject.thing.outlets(harness.settings)
        where = subject.where(subject.thing.outlets)
        require(isinstance(outlets, tuple), f"outlets() gave {type(outlets).__name__}; return a tuple ({where})")
        named = all(isinstance(name, str) and name.isidentifier() for name in outlets)
        require(named, f"outlets() gave {outlets}; each must be a name such as 'yes' ({where})")
        require(len(set(outlets)) == len(outlets), f"outlets() gives a name twice: {outlets} ({where})")
        require(outlets == subject.thing.outlets(harness.settings), f"outlets() gave others the second time ({where})")


@CHECKS.add(twin=True)
def everybody_gets_a_way(subject: Subject) -> None:
    """run() gives each person the index of an outlet, or -1 with the instant until which they stay."""
    with subject.open(NodeHarness, default_node_harness) as harness:
        for arrived in (True, False):
            _run(subject, harness, _batch(harness, arrived=arrived))
        empty = _run(subject, harness, _part(_batch(harness, arrived=True), slice(0, 0)))
        require(len(empty.outlet) == 0, "run() of nobody gave outlets")


@CHECKS.add(twin=True)
def the_batch_decides_nothing(subject: Subject) -> None:
    """A repeat decides the same, and a person's way does not depend on who else is in the batch."""
    with subject.open(NodeHarness, default_node_harness) as harness:
        batch = _batch(harness, arrived=True)
        whole, again = _run(subject, harness, batch), _run(subject, harness, batch)
        require(np.array_equal(whole.outlet, again.outlet), "run() decided otherwise for the same batch")
        half = len(batch.profile_ids) // 2
        parts = [_run(subject, harness, _part(batch, part)).outlet for part in (slice(0, half), slice(half, None))]
        require(np.array_equal(whole.outlet, np.concatenate(parts)), "run() decides otherwise when the batch is halved")


@CHECKS.add(twin=True)
def sql_decides_as_run_does(subject: Subject) -> None:
    """A node that compiles itself to SQL gives everybody the outlet that run() gives."""
    if not isinstance(subject.thing, CompilesToSql):
        return
    with subject.open(NodeHarness, default_node_harness) as harness:
        batch = _batch(harness, arrived=False)
        people = sa.values(
            sa.column("profile_id", sa.BigInteger),
            sa.column("entered_at", sa.BigInteger),
            sa.column("enrolment_id", sa.BigInteger),
            name="people",
        ).data([(int(p), int(e), int(p)) for p, e in zip(batch.profile_ids, batch.entered_at, strict=True)])
        context = NodeSqlContext(
            harness.client_id,
            NOW_MS,
            "Asia/Shanghai",
            people.c.profile_id,
            people.c.entered_at,
            people.c.enrolment_id,
            dt.datetime.fromtimestamp(NOW_MS / 1000, dt.UTC),
        )
        compiled = subject.thing.outlet_sql(context, harness.settings)
        by_sql: dict[int, int] = dict(harness.sql.execute(sa.select(people.c.profile_id, compiled)).tuples().all())
        by_run = dict(zip(batch.profile_ids.tolist(), _run(subject, harness, batch).outlet.tolist(), strict=True))
    different = [person for person in by_run if by_run[person] != by_sql[person]]
    require(not different, f"outlet_sql() and run() disagree for {len(different)} of {len(by_run)} people")


def _batch(harness: NodeHarness, *, arrived: bool) -> NodeBatch:
    ids = np.asarray(harness.profile_ids, dtype=np.int64)
    rng = np.random.default_rng(len(ids))
    return NodeBatch(
        client_id=harness.client_id,
        now=NOW_MS,
        zone="Asia/Shanghai",
        profile_ids=ids,
        visits=np.ones(len(ids), dtype=np.int64),
        entered_at=NOW_MS - rng.integers(0, 10 * DAY_MS, len(ids)),
        arrived=np.full(len(ids), arrived, dtype=np.bool_),
        sql=harness.sql,
    )


def _part(batch: NodeBatch, part: slice) -> NodeBatch:
    return NodeBatch(
        batch.client_id,
        batch.now,
        batch.zone,
        batch.profile_ids[part],
        batch.visits[part],
        batch.entered_at[part],
        batch.arrived[part],
        batch.sql,
    )


def _run(subject: Subject, harness: NodeHarness, batch: NodeBatch) -> NodeOutcome:
    people, outlets = len(batch.profile_ids), subject.thing.outlets(harness.settings)
    where = subject.where(subject.thing.run)
    try:
        given = subject.thing.run(batch, harness.settings)
    except Exception as error:  # noqa: BLE001 - a stranger's code; the sentence names what came
        text = " ".join(str(error).split())
        broken(f"run() raised {type(error).__name__} for {people} people: {text} ({where})")
    outcome = typed(given, NodeOutcome, f"run() gave {type(given).__name__}; return NodeOutcome ({where})")
    outlet = np.asarray(outcome.outlet)
    require(outlet.shape == (people,), f"run() gave outlets of shape {outlet.shape} for {people} people ({where})")
    require(np.issubdtype(outlet.dtype, np.integer), f"run() gave outlets of type {outlet.dtype}; use int64 ({where})")
    inside = bool(((outlet >= -1) & (outlet < max(len(outlets), 1))).all())
    require(inside, f"run() gave an outlet outside -1..{len(outlets) - 1} ({where})")
    staying = outlet == -1
    if staying.any():
        require(outcome.due_at is not None, f"run() keeps people (-1) without due_at; nobody would come back ({where})")
        due = np.asarray(outcome.due_at)
        require(due.shape == (people,), f"run() gave due_at of shape {due.shape} for {people} people ({where})")
        require(bool((due[staying] > batch.now).all()), f"run() keeps people until an instant that is past ({where})")
    require(not outcome.note or len(outcome.note) == people, f"run() gave notes for {len(outcome.note)} of {people}")
    return outcome
