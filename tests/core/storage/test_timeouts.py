"""Bounds that PostgreSQL holds for us: no statement of the application runs, or waits for a lock, without an end."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from fairlead.runtime import Fairlead, open_runtime
from fairlead.settings import Limits, Settings
from fairlead.storage.crypto import Keyring
from fairlead.storage.database import is_busy
from fairlead.storage.scope import AgencyScope

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]
CANCELLED, NO_LOCK = "57014", "55P03"


@pytest.fixture
def hasty(database_url: str, tmp_path: Path) -> Fairlead:
    """A runtime, opened as a process opens it, whose statements have a fifth of a second."""
    keys = tmp_path / "keys"
    Keyring.from_file(keys)
    return open_runtime(
        Settings(database_url=database_url, key_file=keys, limits=Limits(statement_seconds=0.2)), plugins=None
    )


def test_a_slow_statement_is_cancelled(hasty: Fairlead) -> None:
    with hasty, hasty.database.read(AgencyScope("test")) as session:
        with pytest.raises(sa.exc.DBAPIError) as error:
            session.bare(sa.text("SELECT pg_sleep(20)"))
        assert getattr(error.value.orig, "sqlstate", "") == CANCELLED


def test_waiting_for_a_lock_ends(hasty: Fairlead) -> None:
    with hasty, hasty.database.owner() as holder:
        holder.execute(sa.text("LOCK TABLE client IN ACCESS EXCLUSIVE MODE"))
        with hasty.database.read(AgencyScope("test")) as session:
            with pytest.raises(sa.exc.DBAPIError) as error:
                session.bare(sa.text("SELECT count(*) FROM client"))
            assert getattr(error.value.orig, "sqlstate", "") == NO_LOCK
            assert is_busy(error.value)


def test_a_wait_for_a_lock_ends_before_the_statement_does(hasty: Fairlead) -> None:
    with hasty, hasty.database.read(AgencyScope("test")) as session:
        assert session.bare(sa.text("SHOW statement_timeout")).scalar_one() == "200ms"
        assert session.bare(sa.text("SHOW lock_timeout")).scalar_one() == "100ms"


def test_migrations_have_the_time_they_need(hasty: Fairlead) -> None:
    with hasty, hasty.database.owner() as connection:
        assert connection.execute(sa.text("SHOW statement_timeout")).scalar_one() == "0"
        assert connection.execute(sa.text("SHOW lock_timeout")).scalar_one() == "0"
