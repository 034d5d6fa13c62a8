"""Bulk writes do what a slow model says, and the same on both engines."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.customers.model import Profile
from fairlead.facts.model import Order
from fairlead.storage import bulk, ids
from fairlead.storage.database import Database
from fairlead.storage.scope import ClientScope
from fairlead.storage.session import ScopedSession

CLIENT, NEIGHBOUR = 7, 8
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SLOW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclass(frozen=True)
class Row:
    """An order as the model sees it; ``version`` decides who is newer."""

    key: str
    version: int
    status: str
    profile: int | None
    region: str | None
    properties: Any


ROWS = st.builds(
    Row,
    key=st.sampled_from(["a", "b", "c"]),
    version=st.integers(1, 4),
    status=st.sampled_from(["created", "paid", "closed"]),
    profile=st.none() | st.integers(1, 3),
    region=st.none() | TEXT,
    properties=st.none() | st.dictionaries(TEXT, JSON, max_size=2),
)
RULE = bulk.NewerWins(key=("channel_code", "source_id"), version="changed_at", keep=("id",), fill=("profile_id",))


def orders(session: ScopedSession, rows: list[Row]) -> dict[str, Any]:
    count = len(rows)
    return {
        "id": ids.reserve(session.connection(), count),
        "source_id": [row.key for row in rows],
        "profile_id": [row.profile for row in rows],
        "channel_code": [1] * count,
        "status": [row.status for row in rows],
        "currency": ["CNY"] * count,
        "amount": [1] * count,
        "paid_amount": [0] * count,
        "refund_amount": [0] * count,
        "placed_at": [0] * count,
        "changed_at": [row.version for row in rows],
        "region": [row.region for row in rows],
        "properties": [None if row.properties is None else orjson.dumps(row.properties).decode() for row in rows],
    }


def stored(session: ScopedSession) -> dict[str, Row]:
    at = sa.type_coerce(Order.changed_at, sa.BigInteger)
    rows = session.execute(
        sa.select(Order.source_id, at, Order.status, Order.profile_id, Order.region, Order.properties)
    )
    return {row[0]: Row(*row) for row in rows}


def newer(old: Row, new: Row) -> Row:
    if new.version <= old.version:
        return old
    profile = old.profile if new.profile is None else new.profile
    return Row(new.key, new.version, new.status, profile, new.region, new.properties)


def folded(rows: list[Row], known: dict[str, Row]) -> dict[str, Row]:
    """Each key's rows one after the other, and the outcome against what is known."""
    batch: dict[str, Row] = {}
    for row in rows:
        batch[row.key] = newer(batch[row.key], row) if row.key in batch else row
    return known | {key: newer(known[key], row) if key in known else row for key, row in batch.items()}


@SLOW
@given(batches=st.lists(st.lists(ROWS, max_size=6), min_size=1, max_size=3))
def test_newer_wins_as_the_model_says(database: Database, batches: list[list[Row]]) -> None:
    known: dict[str, Row] = {}
    with database.read(ClientScope(CLIENT)) as session:
        for rows in batches:
            changed = bulk.insert(session, Order, orders(session, rows), newer_wins=RULE)
            after = folded(rows, known)
            newest = {row.key: max(other.version for other in rows if other.key == row.key) for row in rows}
            assert changed == sum(key not in known or version > known[key].version for key, version in newest.items())
            known = after
            assert stored(session) == known


@SLOW
@given(batches=st.lists(st.lists(ROWS, max_size=6), min_size=1, max_size=3))
def test_known_rows_are_passed_over(database: Database, batches: list[list[Row]]) -> None:
    known: dict[str, Row] = {}
    with database.read(ClientScope(CLIENT)) as session:
        for rows in batches:
            fresh: dict[str, Row] = {}
            for row in rows:
                if row.key not in known:
                    fresh.setdefault(row.key, row)
            assert bulk.insert(session, Order, orders(session, rows), ignore_known=True) == len(fresh)
            known |= fresh
            assert stored(session) == known


def test_without_a_rule_a_known_row_is_an_error(database: Database) -> None:
    row = Row("a", 1, "paid", None, None, None)
    with database.read(ClientScope(CLIENT)) as session:
        bulk.insert(session, Order, orders(session, [row]))
        with pytest.raises(Exception, match=r"(?i)unique"):
            bulk.insert(session, Order, orders(session, [row]))


def test_equal_versions_go_by_the_named_value(database: Database) -> None:
    rule = bulk.NewerWins(
        key=("channel_code", "source_id"), version="changed_at", keep=("id",), tie=("status", "closed")
    )
    paid, closed = (Row("a", 1, status, None, None, None) for status in ("paid", "closed"))
    with database.read(ClientScope(CLIENT)) as session:
        for batch in ([paid, closed], [closed, paid]):
            bulk.insert(session, Order, orders(session, batch), newer_wins=rule)
            assert stored(session)["a"].status == "closed"
            session.execute(sa.delete(Order))
        for batch in ([paid], [closed], [paid]):
            bulk.insert(session, Order, orders(session, batch), newer_wins=rule)
        assert stored(session)["a"].status == "closed"


VALUES = st.fixed_dictionaries(
    {
        "gender": st.none() | st.sampled_from(["male", "female"]),
        "region": st.none() | TEXT,
        "birth_date": st.none() | st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)).map(dt.date.isoformat),
        "attributes": st.none() | st.dictionaries(TEXT, JSON, max_size=3),
    }
)


@SLOW
@given(
    before=st.lists(VALUES, min_size=1, max_size=4),
    changes=st.lists(VALUES, min_size=4, max_size=4),
    missing=st.booleans(),
)
def test_updates_fill_or_replace_as_the_model_says(
    database: Database, before: list[Any], changes: list[Any], missing: bool
) -> None:
    def columns(fresh: Any, rows: list[Any]) -> dict[str, Any]:
        texts = [None if row["attributes"] is None else orjson.dumps(row["attributes"]).decode() for row in rows]
        plain = {name: [row[name] for row in rows] for name in ("gender", "region", "birth_date")}
        return {"id": fresh, **plain, "attributes": texts}

    with database.read(ClientScope(CLIENT)) as session:
        count = len(before)
        fresh = ids.reserve(session.connection(), count)
        start = columns(fresh, [{**row, "attributes": row["attributes"] or {}} for row in before])
        extra = {"state": ["active"] * count, "created_at": [0] * count, "changed_at": [0] * count}
        bulk.insert(session, Profile, start | extra)
        unknown = [*fresh.tolist(), 10**12]
        picked = [*changes[:count], changes[0]]
        assert bulk.update(session, Profile, columns(unknown, picked), only_missing=missing) == count
        rows = session.execute(
            sa.select(Profile.gender, Profile.region, Profile.birth_date, Profile.attributes).order_by(Profile.id)
        ).all()
        for row, old, new in zip(rows, before, changes, strict=False):
            old = {**old, "attributes": old["attributes"] or {}}
            wanted = {
                name: (new[name] if old[name] is None else old[name])
                if missing
                else (old[name] if new[name] is None else new[name])
                for name in old
            }
            wanted["birth_date"] = wanted["birth_date"] and dt.date.fromisoformat(wanted["birth_date"])
            assert row._asdict() == wanted


def test_a_neighbours_rows_are_out_of_reach(database: Database) -> None:
    row = Row("a", 5, "paid", None, None, None)
    with database.write(ClientScope(NEIGHBOUR)) as session:
        values = orders(session, [row])
        theirs = int(values["id"][0])
        bulk.insert(session, Order, values)
    with database.write(ClientScope(CLIENT)) as session:
        assert bulk.insert(session, Order, orders(session, [row]), newer_wins=RULE) == 1
        assert bulk.update(session, Order, {"id": [theirs], "region": ["stolen"]}) == 0
        assert bulk.insert(session, Order, {}) == 0
    with database.read(ClientScope(NEIGHBOUR)) as session:
        assert session.execute(sa.select(Order.source_id, Order.region)).all() == [("a", None)]


def test_half_a_batch_is_no_batch(database: Database) -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"), database.write(ClientScope(CLIENT)) as session:
        bulk.insert(session, Order, {**orders(session, [Row("a", 1, "paid", None, None, None)]), "region": ["x", "y"]})
