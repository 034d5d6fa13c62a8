"""What a journey node promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sqlalchemy as sa

from fairlead.plugins.contracts.journey_node import CompilesToSql, NodeBatch, NodeOutcome, NodeSqlContext
from fairlead.testing.fakes import START
from fairlead.testing.harness import NodeHarness, default_node_harness
from fairlead.testing.subject import CheckList, Subject, broken, require, typed

CHECKS = CheckList()

NOW_MS = int(START.timestamp() * 1000)
DAY_MS = 86_400_000
ZONE = "Asia/Shanghai"


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
        batch = _batch(harness)
        _run(subject, harness, batch)
        empty = _run(subject, harness, _part(batch, slice(0, 0)))
        require(len(empty.outlet) == 0, "run() of nobody gave outlets")


@CHECKS.add(twin=True)
def the_batch_decides_nothing(subject: Subject) -> None:
    """A repeat decides the same, and a person's way does not depend on who else is in the batch."""
    with subject.open(NodeHarness, default_node_harness) as harness:
        batch = _batch(harness)
        whole, again = _run(subject, harness, batch), _run(subject, harness, batch)
        require(np.array_equal(whole.outlet, again.outlet), "run() decided otherwise for the same batch")
        half = len(batch.profile_ids) // 2
        parts = [_run(subject, harness, _part(batch, part)).outlet for part in (slice(0, half), slice(half, None))]
        require(np.array_equal(whole.outlet, np.concatenate(parts)), "run() decides otherwise when the batch is halved")


@CHECKS.add(twin=True)
def sql_decides_as_run_does(subject: Subject) -> None:
    """A node that compiles itself to SQL gives everybody the outlet and the instant that run() gives."""
    if not isinstance(subject.thing, CompilesToSql):
        return
    with subject.open(NodeHarness, default_node_harness) as harness:
        require(harness.work is not None, "a node that compiles itself to SQL needs a harness with work=")
        batch = _batch(harness)
        columns = [sa.column(name, sa.BigInteger) for name in ("profile_id", "entered_at", "enrolment_id")]
        rows = [(int(p), int(e), int(p)) for p, e in zip(batch.profile_ids, batch.entered_at, strict=True)]
        people = sa.values(*columns, name="people").data(rows).cte()
        context = NodeSqlContext(
            harness.work,
            NOW_MS,
            ZONE,
            people.c.profile_id,
            people.c.entered_at,
            people.c.enrolment_id,
            sa.select(people.c.profile_id),
        )
        outlet = subject.thing.outlet_sql(context, harness.settings)
        due = subject.thing.due_sql(context, harness.settings)
        statement = sa.select(people.c.profile_id, outlet, due)
        found = harness.session.execute(statement, execution_options={"bare": True}).all()
        outcome = _run(subject, harness, batch)
    by_sql = {int(person): (int(way), int(until) if way == -1 else None) for person, way, until in found}
    untils = outcome.due_at if outcome.due_at is not None else np.zeros(len(outcome.outlet), np.int64)
    by_run = {
        int(person): (int(way), int(until) if way == -1 else None)
        for person, way, until in zip(batch.profile_ids, outcome.outlet, untils, strict=True)
    }
    different = [person for person, decided in by_run.items() if decided != by_sql.get(person)]
    require(not different, f"outlet_sql() or due_sql() and run() disagree for {len(different)} of {len(by_run)} people")


def _batch(harness: NodeHarness) -> NodeBatch:
    ids = np.asarray(harness.profile_ids, dtype=np.int64)
    rng = np.random.default_rng(len(ids))
    return NodeBatch(
        client_id=harness.client_id,
        now=NOW_MS,
        zone=ZONE,
        profile_ids=ids,
        visits=np.ones(len(ids), dtype=np.int64),
        entered_at=NOW_MS - rng.integers(0, 10 * DAY_MS, len(ids)),
        session=harness.session,
    )


def _part(batch: NodeBatch, part: slice) -> NodeBatch:
    return replace(
        batch,
        profile_ids=batch.profile_ids[part],
        visits=batch.visits[part],
        entered_at=batch.entered_at[part],
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
    for send in outcome.sends:
        people_asked = np.asarray(send.people)
        within = bool(((people_asked >= 0) & (people_asked < people)).all())
        require(within, f"run() asks for a message to people who are not in the batch ({where})")
    require(not outcome.note or len(outcome.note) == people, f"run() gave notes for {len(outcome.note)} of {people}")
    return outcome
