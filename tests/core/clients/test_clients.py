"""Clients: slugs, changes, archiving."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.clients import service
from fairlead.errors import Conflict, Forbidden, NotFound, Refusals
from fairlead.governance.permissions import READS, Anonymous, Principal
from fairlead.runtime import Fairlead
from support.rows import audit_entries


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "a/b", "graphql", "x" * 51, "ä", "a\n"])
def test_bad_slugs_are_refused(runtime: Fairlead, agency: Any, slug: str) -> None:
    with runtime.agency_work("test") as work, pytest.raises(Refusals) as refused:
        service.create_client(work, agency.id, slug, "Name")
    assert [error.path for error in refused.value.errors] == [("slug",)]


def test_all_bad_fields_are_named_at_once(runtime: Fairlead, agency: Any) -> None:
    with runtime.agency_work("test") as work, pytest.raises(Refusals) as refused:
        service.create_client(work, agency.id, "A", " ", zone="Nowhere/../x", currency="yuan")
    assert {error.path[0] for error in refused.value.errors} == {"slug", "name", "zone", "currency"}


def test_a_slug_is_taken_once(runtime: Fairlead, agency: Any) -> None:
    with runtime.agency_work("test") as work, pytest.raises(Conflict):
        service.create_client(work, agency.id, "acme", "Another")


def test_changes_are_audited_and_seen_at_once(runtime: Fairlead, agency: Any) -> None:
    assert runtime.client("acme").name == "Acme"
    with runtime.agency_work("test") as work:
        service.update_client(work, agency.acme, name="Acme 2", zone="Europe/Paris")
    assert runtime.client("acme").name == "Acme 2"
    assert runtime.client(agency.acme).zone == "Europe/Paris"
    with runtime.reading(agency.acme) as work:
        entry = audit_entries(work)[0]
    assert entry.action == "client.changed"
    assert entry.before is not None
    assert entry.after is not None
    assert (entry.before["zone"], entry.after["zone"]) == ("Asia/Shanghai", "Europe/Paris")


def test_a_change_to_the_same_leaves_no_entry(runtime: Fairlead, agency: Any) -> None:
    with runtime.agency_work("test") as work:
        service.update_client(work, agency.acme, name="Acme")
        assert len(audit_entries(work, client_id=agency.acme)) == 1


def test_an_archived_client_can_be_read_and_not_changed(runtime: Fairlead, agency: Any) -> None:
    with runtime.agency_work("test") as work:
        service.archive_client(work, agency.acme)
    with pytest.raises(Conflict, match="archived"), runtime.work("acme"):
        pass
    with runtime.reading("acme") as work:
        assert service.get_client(work.session, agency.acme).state == "archived"
    with runtime.agency_work("test") as work:
        assert [client.slug for client in service.list_clients(work)] == ["bolt"]
        service.restore_client(work, agency.acme)
    with runtime.work("acme") as work:
        assert work.client_id == agency.acme


def test_lists_show_what_the_actor_sees(runtime: Fairlead, agency: Any) -> None:
    for number in range(7):
        with runtime.agency_work("test") as work:
            service.create_client(work, agency.id, f"c{number}", "C")
    only = Principal(member_id=1, token_id=1, agency_id=agency.id, name="m", at={agency.bolt: READS})
    with runtime.agency_reading("test", only) as work:
        assert [client.slug for client in service.list_clients(work, first=2)] == ["bolt"]
    with runtime.agency_reading("test", Anonymous()) as work:
        assert service.list_clients(work) == []
    with runtime.agency_reading("test") as work:
        page = service.list_clients(work, first=4)
        rest = service.list_clients(work, first=9, after_slug=page[-1].slug)
        assert [client.slug for client in [*page, *rest]] == ["acme", "bolt", *(f"c{n}" for n in range(7))]


def test_permission_is_needed(runtime: Fairlead, agency: Any) -> None:
    reader = Principal(member_id=1, token_id=1, agency_id=agency.id, name="m", everywhere=READS)
    with runtime.agency_work("test", reader) as work:
        with pytest.raises(Forbidden):
            service.create_client(work, agency.id, "new", "New")
        with pytest.raises(Forbidden):
            service.archive_client(work, agency.acme)


def test_an_unknown_client_is_not_found(runtime: Fairlead) -> None:
    for client in ("nobody", 99):
        with pytest.raises(NotFound), runtime.work(client):
            pass
