"""The application object: commit, then what follows; caches that grow stale; transactions tried again."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.caching import Expiring
from fairlead.clients import service
from fairlead.errors import Unavailable
from fairlead.governance import jobs
from fairlead.plugins.events import DomainEvent
from fairlead.runtime import ATTEMPTS, Fairlead, open_runtime
from fairlead.settings import Settings
from fairlead.storage.crypto import KeyProblem, Keyring
from fairlead.storage.scope import ScopeViolation
from fairlead.work import Work
from support.rows import jobs_of


def busy() -> sa.exc.OperationalError:
    return sa.exc.OperationalError("x", {}, sqlite3.OperationalError("database is locked"))


def test_what_follows_comes_after_the_commit(runtime: Fairlead, agency: Any) -> None:
    seen: list[int] = []

    def look() -> None:
        with runtime.reading(agency.acme) as other:
            seen.append(len(jobs_of(other)))

    with runtime.work(agency.acme) as work:
        jobs.create_job(work, "test")
        work.after_commit.append(lambda: 1 / 0)
        work.after_commit.append(look)
        assert seen == []
    assert seen == [1]


def test_nothing_follows_a_failure(runtime: Fairlead, agency: Any) -> None:
    seen: list[int] = []

    def fail() -> None:
        with runtime.work(agency.acme) as work:
            work.after_commit.append(lambda: seen.append(1))
            work.events.append(DomainEvent("k", "t", agency.acme, work.now))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == []
    assert b'fairlead_domain_events_total{type="t"}' not in runtime.metrics.render()


def test_reading_changes_nothing(runtime: Fairlead, agency: Any) -> None:
    with runtime.reading(agency.acme) as work:
        jobs.create_job(work, "test")
    with runtime.reading(agency.acme) as work:
        assert jobs_of(work) == []


def test_agency_work_has_no_client_and_no_plugins(runtime: Fairlead, agency: Any) -> None:
    with runtime.agency_work("test") as work:
        assert work.plugins.enabled == frozenset()
        with pytest.raises(ScopeViolation):
            _ = work.client_id


def test_a_busy_database_is_tried_again(runtime: Fairlead, agency: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.runtime.time.sleep", lambda seconds: None)
    tries: list[int] = []

    def work(unit: Work) -> str:
        tries.append(jobs.create_job(unit, "test").id)
        if len(tries) < 3:
            raise busy()
        return "done"

    assert runtime.run(agency.acme, work) == "done"
    with runtime.reading(agency.acme) as unit:
        assert [job.id for job in jobs_of(unit)] == tries[-1:]
    assert b"fairlead_busy_retries_total 2.0" in runtime.metrics.render()


def test_a_database_that_stays_busy_is_said_so(runtime: Fairlead, agency: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.runtime.time.sleep", lambda seconds: None)
    tries = []

    def work(unit: Work) -> None:
        tries.append(1)
        raise busy()

    with pytest.raises(Unavailable):
        runtime.run(agency.acme, work)
    assert len(tries) == ATTEMPTS


def test_other_errors_are_not_tried_again(runtime: Fairlead, agency: Any) -> None:
    tries = []

    def work(unit: Work) -> None:
        tries.append(1)
        raise sa.exc.IntegrityError("x", {}, sqlite3.IntegrityError("x"))

    with pytest.raises(sa.exc.IntegrityError):
        runtime.run(agency.acme, work)
    assert tries == [1]


def test_clients_are_found_by_slug_and_id(runtime: Fairlead, agency: Any) -> None:
    assert runtime.client("acme") == runtime.client(agency.acme)
    with runtime.work("bolt") as work:
        assert work.client_id == agency.bolt
        assert [client.slug for client in service.list_clients(work)] == ["bolt"]


def test_what_was_read_before_a_change_does_not_come_back() -> None:
    now = [0.0]
    cache: Expiring[str, int] = Expiring(2.0, lambda: now[0])
    stamp = cache.stamp()
    cache.clear("a")
    cache.put("a", 1, stamp)
    assert cache.get("a") is None
    cache.put("a", 2, cache.stamp())
    now[0] = 1.9
    assert cache.get("a") == 2
    now[0] = 2.0
    assert cache.get("a") is None


# -- settings and keys ----------------------------------------------------------------------------------------------


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Keyring.generate()
    for name, value in {
        "DATABASE_URL": "postgresql://u:p4ss@db/x",
        "KEYS": ring.dump(),
        "ALLOW_HOSTS": "a.test, b.test:25",
        "LIMIT_OUTGOING_BYTES": "5",
        "PUBLIC_URL": "https://x.test/",
        "PLUGINS_BLOCK": "x",
    }.items():
        monkeypatch.setenv(f"FAIRLEAD_{name}", value)
    settings = Settings()
    assert settings.allow_hosts == ("a.test", "b.test:25")
    assert settings.limits.outgoing_bytes == 5
    assert settings.public_url == "https://x.test"
    assert settings.keyring().masters == ring.masters
    assert "p4ss" not in repr(settings)
    assert ring.dump().split("=", 1)[1][:20] not in repr(settings)


def test_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match="SQLite or PostgreSQL"):
        Settings(database_url="mysql://x/y")


def test_the_first_start_makes_keys_and_no_later_one(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'data' / 'f.db'}")
    with open_runtime(settings):
        pass
    keys = tmp_path / "data" / "keys"
    assert keys.stat().st_mode & 0o077 == 0
    assert settings.keyring().masters == Keyring.parse(keys.read_text()).masters
    (tmp_path / "data" / "f.db").write_bytes(b"x")
    keys.unlink()
    with pytest.raises(KeyProblem, match="restore"):
        settings.keyring()
    assert not keys.exists()


def test_postgresql_needs_its_keys_named(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="FAIRLEAD_KEYS"):
        Settings(database_url="postgresql://h/x").keyring()
    with pytest.raises(KeyProblem, match="keys new"):
        Settings(database_url="postgresql://h/x", key_file=tmp_path / "none").keyring()
