"""The audit log: what goes in, what stays out, and what a look at the chain finds."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.governance import audit
from fairlead.governance.audit import Anchor, record, verify_chain
from fairlead.governance.model import AGENCY, AuditEntry
from fairlead.runtime import Fairlead
from fairlead.storage.scope import AgencyScope
from support.rows import audit_entries


def write(runtime: Fairlead, client_id: int, count: int) -> None:
    for number in range(count):
        with runtime.work(client_id) as work:
            record(work, "thing.changed", "thing", number, {"n": number}, {"n": number + 1, "名": "值"})


def verify(runtime: Fairlead, client_id: int, **options: Any) -> audit.VerifyResult:
    with runtime.agency_reading("test") as work:
        return verify_chain(work.session, client_id, **options)


def tamper(runtime: Fairlead, *statements: str) -> None:
    """Change the log as somebody with the database's password would: without the triggers."""
    with runtime.database.owner() as connection:
        if runtime.database.is_sqlite:
            connection.execute(sa.text("DROP TRIGGER audit_entry_no_update"))
            connection.execute(sa.text("DROP TRIGGER audit_entry_no_delete"))
        else:
            connection.execute(sa.text("ALTER TABLE audit_entry DISABLE TRIGGER append_only"))
        for statement in statements:
            connection.execute(sa.text(statement))
        if not runtime.database.is_sqlite:
            connection.execute(sa.text("ALTER TABLE audit_entry ENABLE TRIGGER append_only"))


def test_a_chain_of_several_pages_verifies(runtime: Fairlead, agency: Any) -> None:
    write(runtime, agency.acme, 7)
    result = verify(runtime, agency.acme, page=3)
    assert result.ok
    assert result.entries == result.head_number == 8  # the client's creation is the first
    assert verify(runtime, agency.bolt).entries == 1
    assert verify(runtime, AGENCY).entries == 1


def test_no_entry_means_an_empty_chain_that_is_right(runtime: Fairlead) -> None:
    result = verify(runtime, 12345)
    assert result.ok
    assert (result.entries, result.head_number) == (0, 0)


def test_an_entry_is_undone_with_its_transaction(runtime: Fairlead, agency: Any) -> None:
    def fail() -> None:
        with runtime.work(agency.acme) as work:
            record(work, "thing.changed", "thing", 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert verify(runtime, agency.acme).entries == 1


@pytest.mark.parametrize(
    ("change", "kind", "number"),
    [
        ("UPDATE audit_entry SET actor = 'member:1' WHERE client_id = :c AND number = 3", "changed", 3),
        ('UPDATE audit_entry SET "after" = \'{"n": 9}\' WHERE client_id = :c AND number = 4', "changed", 4),
        ("DELETE FROM audit_entry WHERE client_id = :c AND number = 3", "missing", 3),
        ("DELETE FROM audit_entry WHERE client_id = :c AND number >= 5", "truncated", 5),
        ("DELETE FROM audit_entry WHERE client_id = :c", "truncated", 1),
        ("DELETE FROM audit_head WHERE client_id = :c", "headless", 6),
    ],
)
def test_tampering_is_found(runtime: Fairlead, agency: Any, change: str, kind: str, number: int) -> None:
    write(runtime, agency.acme, 5)
    tamper(runtime, change.replace(":c", str(agency.acme)))
    result = verify(runtime, agency.acme)
    assert not result.ok
    assert (kind, number) in {(problem.kind, problem.number) for problem in result.problems}


def test_swapped_entries_are_found(runtime: Fairlead, agency: Any) -> None:
    write(runtime, agency.acme, 5)
    swap = "UPDATE audit_entry SET number = {} WHERE client_id = {} AND number = {}"
    tamper(
        runtime,
        swap.format(99, agency.acme, 3),
        swap.format(3, agency.acme, 4),
        swap.format(4, agency.acme, 99),
    )
    kinds = {problem.kind for problem in verify(runtime, agency.acme).problems}
    assert "reordered" in kinds


def test_a_chain_made_anew_is_found_by_the_anchor(runtime: Fairlead, agency: Any) -> None:
    write(runtime, agency.acme, 3)
    before = verify(runtime, agency.acme)
    anchor = Anchor(before.head_number, bytes.fromhex(before.head_digest))
    write(runtime, agency.acme, 2)
    assert verify(runtime, agency.acme, anchor=anchor).ok
    where = f"WHERE client_id = {agency.acme}"
    tamper(runtime, f"DELETE FROM audit_entry {where}", f"DELETE FROM audit_head {where}")
    write(runtime, agency.acme, 6)
    assert verify(runtime, agency.acme).ok
    assert [problem.kind for problem in verify(runtime, agency.acme, anchor=anchor).problems] == ["anchor"]


def test_the_application_cannot_change_an_entry(runtime: Fairlead, agency: Any) -> None:
    for statement in (sa.update(AuditEntry).values(actor="x"), sa.delete(AuditEntry)):
        with pytest.raises(sa.exc.DBAPIError), runtime.database.write(AgencyScope("test")) as session:
            session.execute(statement)
    assert verify(runtime, agency.acme).ok


def test_secrets_and_people_stay_out(runtime: Fairlead, agency: Any) -> None:
    canaries = ("13812345678", "wang@example.com", "s3cr3t-value", "fl_" + "Ab1" * 14)
    after = {
        "phone": canaries[0],
        "email": canaries[1],
        "app_secret": canaries[2],
        "note": f"call {canaries[0]} or {canaries[1]}, {canaries[3]}",
        "deep": {"access_token": canaries[2], "list": [canaries[1]]},
        "raw": b"s3cr3t-value",
        "kept": "阿里",
    }
    with runtime.work(agency.acme, request_id="r-1") as work:
        work.vault.seal(agency.acme, "x.y", "z")
        record(work, "thing.changed", "thing", 1, after, after)
    with runtime.reading(agency.acme) as work:
        entry = audit_entries(work)[0]
    text = repr((entry.before, entry.after))
    assert not [canary for canary in canaries if canary in text]
    assert entry.after is not None
    assert entry.after["kept"] == "阿里"
    assert "phone" not in entry.after
    assert entry.request_id == "r-1"


def test_a_snapshot_leaves_sealed_columns_out(runtime: Fairlead, agency: Any) -> None:
    from fairlead.clients.members import add_member
    from fairlead.clients.model import Member

    with runtime.agency_work("test") as work:
        member = add_member(work, agency.id, "Wang", "wang@example.com", role="admin")
        assert audit.snapshot(member, "state", "email") == {"state": "active"}
        assert sa.inspect(Member).columns["email"] is not None


def test_values_come_back_as_they_were_hashed(runtime: Fairlead, agency: Any) -> None:
    odd = {
        "small": 1e-9,
        "big": 1e22,
        "plain": 0.1,
        "one": 1.0,
        "nan": float("nan"),
        "int": 2**70,
        "nul": "a\0b",
        "half": "\ud800",
        "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "none": None,
        "set": {"b", "a"},
        "minus": -0.0,
    }
    with runtime.work(agency.acme) as work:
        record(work, "thing.changed", "thing", 1, odd, odd)
    assert verify(runtime, agency.acme).ok


def test_writers_of_one_chain_take_turns(runtime: Fairlead, agency: Any) -> None:
    errors: list[BaseException] = []

    def many() -> None:
        try:
            write(runtime, agency.acme, 5)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    result = verify(runtime, agency.acme)
    assert result.ok
    assert result.entries == 21


def test_another_clients_entries_are_not_listed(runtime: Fairlead, agency: Any) -> None:
    write(runtime, agency.acme, 2)
    with runtime.reading(agency.bolt) as work:
        assert {entry.client_id for entry in audit_entries(work)} == {agency.bolt}
