"""Ids are unique and rise, instants come back as they went in, errors are told apart."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from fairlead.customers.model import Profile
from fairlead.storage import ids
from fairlead.storage.database import Database, is_busy, normalise_url
from fairlead.storage.scope import AgencyScope, ClientScope
from fairlead.storage.types import from_millis, to_millis

INSTANTS = st.datetimes(timezones=st.sampled_from([dt.UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("Africa/Monrovia")]))


def test_ids_are_unique_and_rise(database: Database) -> None:
    taken: list[int] = []
    for count in (0, 1, 63, 64, 65, 1000):
        with database.write(AgencyScope("test")) as session:
            block = ids.reserve(session.connection(), count)
        assert block.shape == (count,)
        assert block.dtype == np.int64
        assert (np.diff(block) > 0).all()
        assert not taken or not count or block[0] > taken[-1]
        taken += block.tolist()
    assert len(set(taken)) == len(taken)


def test_ids_are_unique_among_threads(database: Database) -> None:
    taken: list[int] = []

    def work() -> None:
        for _ in range(10):
            with database.write(AgencyScope("test")) as session:
                taken.extend(ids.reserve(session.connection(), 70).tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 4 * 10 * 70


def test_a_rolled_back_id_is_never_in_two_rows(database: Database) -> None:
    with database.read(ClientScope(7)) as session:
        lost = ids.reserve(session.connection(), 5).tolist()
    with database.write(ClientScope(7)) as session:
        kept = ids.reserve(session.connection(), 5).tolist()
    assert len(set(kept)) == 5
    assert kept[0] >= lost[0]


@given(instant=INSTANTS)
def test_instants_keep_their_millisecond(instant: dt.datetime) -> None:
    millis = to_millis(instant)
    back = from_millis(millis)
    assert dt.timedelta(0) <= instant - back < dt.timedelta(milliseconds=1)
    assert to_millis(back) == millis
    assert back.tzinfo is dt.UTC


def test_instants_are_compared_and_stored_as_numbers(database: Database) -> None:
    early, late = dt.datetime(1969, 7, 20, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, 12, 0, 0, 999000, tzinfo=dt.UTC)
    with database.read(ClientScope(7)) as session:
        for at in (early, late):
            session.add(Profile(attributes={}, created_at=at, changed_at=at))
        session.flush()
        session.expire_all()
        assert session.scalars(sa.select(Profile.created_at).order_by(Profile.created_at)).all() == [early, late]
        assert session.scalars(sa.select(Profile.created_at).where(Profile.created_at > early)).all() == [late]
        number = sa.type_coerce(Profile.created_at, sa.BigInteger)
        assert session.scalars(sa.select(number).where(number < 0)).all() == [to_millis(early)]
        with pytest.raises(sa.exc.StatementError, match="needs a time zone"):
            session.execute(sa.select(Profile.id).where(Profile.created_at > dt.datetime(2026, 1, 1)))  # noqa: DTZ001


@pytest.mark.parametrize("url", ["mysql://x/y", "oracle://x", "duckdb:///x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="SQLite or PostgreSQL"):
        normalise_url(url)


def test_sqlite_needs_a_file() -> None:
    with pytest.raises(ValueError, match="a file"):
        Database("sqlite://")


def test_busy_is_told_from_broken_through_the_driver_and_through_sqlalchemy(database: Database) -> None:
    locked = sqlite3.OperationalError("database is locked")
    assert is_busy(locked)
    assert is_busy(sa.exc.OperationalError("x", {}, locked))
    assert not is_busy(sqlite3.OperationalError("no such table: x"))
    assert not is_busy(ValueError("locked"))
    with pytest.raises(sa.exc.DBAPIError) as broken, database.read(AgencyScope("test")) as session:
        session.bare(sa.text("SELECT * FROM no_such_table"))
    assert not is_busy(broken.value)
