"""The registry of accounts: settings checked, secrets sealed, states moved."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.channels import service
from fairlead.channels.model import ChannelAccount
from fairlead.clients import plugin_sets
from fairlead.errors import Conflict, Forbidden, NotFound, PluginOff, Refusals
from fairlead.governance.permissions import READS, Principal
from fairlead.runtime import Fairlead
from fairlead.storage.crypto import KeyProblem
from support.rows import audit_entries

SECRET = "t0-s3cr3t"


def read(runtime: Fairlead, client: int, account: int) -> ChannelAccount:
    with runtime.reading(client) as work:
        return service.get_account(work, account)


def test_secrets_are_sealed_and_never_shown(runtime: Fairlead, acme: int, account: int) -> None:
    row = read(runtime, acme, account)
    assert (row.state, row.health, row.settings) == ("connected", "unknown", {"shop": "s1"})
    assert row.secrets is not None
    assert SECRET.encode() not in bytes(row.secrets)
    with runtime.reading(acme) as work:
        shown = service.show_account_settings(work, row)
        assert shown == {"shop": "s1", "token": {"set": True}, "refresh_token": {"set": False}}
        assert SECRET not in repr([(entry.before, entry.after) for entry in audit_entries(work)])


def test_settings_must_please_the_plugin(runtime: Fairlead, acme: int) -> None:
    with runtime.work(acme) as work:
        with pytest.raises(Refusals) as refused:
            service.connect_account(work, "shop", "x", {"token": "t"}, account_type="spaceship")
        assert [error.path for error in refused.value.errors] == [("account_type",)]
        with pytest.raises(Refusals) as refused:
            service.connect_account(work, "shop", "x", {"token": "t"})
        assert [error.path for error in refused.value.errors] == [("settings", "shop")]
        planned = service.connect_account(work, "shop", "x", {"token": "t"}, planned=True)
        assert planned.state == "planned"
        with pytest.raises(Refusals):
            service.resume_account(work, planned.id)
        service.update_account(work, planned.id, settings={"shop": "s2"})
        assert service.resume_account(work, planned.id).state == "connected"
        assert service.account_secrets(work, planned) == {"token": "t"}


def test_a_name_is_used_once_in_a_channel(runtime: Fairlead, acme: int, account: int) -> None:
    with runtime.work(acme) as work:
        with pytest.raises(Conflict):
            service.connect_account(work, "shop", " main ", {"shop": "s", "token": "t"})
        other = service.connect_account(work, "shop", "second", {"shop": "s", "token": "t"})
        with pytest.raises(Conflict):
            service.update_account(work, other.id, name="main")


def test_a_secret_that_is_left_out_stays(runtime: Fairlead, acme: int, account: int) -> None:
    with runtime.work(acme) as work:
        row = service.update_account(work, account, settings={"shop": "s9", "token": {"set": True}}, note="moved")
        assert service.account_secrets(work, row) == {"token": SECRET}
        service.update_account(work, account, settings={"shop": "s9", "token": "t1"})
    with runtime.reading(acme) as work:
        assert service.account_secrets(work, service.get_account(work, account)) == {"token": "t1"}
        newest = audit_entries(work)[0].after
        assert newest is not None
        assert newest["settings_changed"] == ["sealed part"]


def test_states_move_as_they_may(runtime: Fairlead, acme: int, account: int) -> None:
    with runtime.work(acme) as work:
        assert service.pause_account(work, account).state == "paused"
        assert service.pause_account(work, account).state == "paused"
        assert service.resume_account(work, account).state == "connected"
        gone = service.disconnect_account(work, account)
        assert (gone.state, gone.secrets) == ("disconnected", None)
        with pytest.raises(Conflict):
            service.pause_account(work, account)
        with pytest.raises(Refusals):
            service.resume_account(work, account)


def test_a_channel_that_is_off_has_no_accounts_to_connect(runtime: Fairlead, agency: Any, acme: int) -> None:
    with runtime.work(agency.bolt) as work, pytest.raises(PluginOff):
        service.connect_account(work, "shop", "x", {"shop": "s", "token": "t"})
    with runtime.work(acme) as work, pytest.raises(NotFound):
        service.connect_account(work, "nothing", "x")


def test_another_clients_account_does_not_exist(runtime: Fairlead, agency: Any, account: int) -> None:
    with runtime.reading(agency.bolt) as work:
        with pytest.raises(NotFound):
            service.get_account(work, account)
        assert service.list_accounts(work) == []


def test_a_sealed_value_opens_only_in_its_own_row(runtime: Fairlead, agency: Any, acme: int, account: int) -> None:
    with runtime.work(acme) as work:
        other = service.connect_account(work, "shop", "second", {"shop": "s", "token": "other"})
        other.secrets = service.get_account(work, account).secrets
        with pytest.raises(KeyProblem):
            service.account_secrets(work, other)
        work.session.rollback()
    with runtime.work(agency.bolt) as work:
        plugin_sets.set_plugin(work, runtime.plugins, "shop", True)
    with runtime.work(agency.bolt) as work:
        mine = service.connect_account(work, "shop", "main", {"shop": "s", "token": "bolt"})
        mine.secrets = read(runtime, acme, account).secrets
        with pytest.raises(KeyProblem):
            service.account_secrets(work, mine)


def test_permission_is_needed(runtime: Fairlead, acme: int, account: int, agency: Any) -> None:
    reader = Principal(member_id=1, token_id=1, agency_id=agency.id, name="m", at={acme: READS})
    with runtime.work(acme, actor=reader) as work:
        with pytest.raises(Forbidden):
            service.pause_account(work, account)
        with pytest.raises(Forbidden):
            service.connect_account(work, "shop", "x", {})


def test_lists_go_by_key(runtime: Fairlead, acme: int) -> None:
    with runtime.work(acme) as work:
        made = [
            service.connect_account(work, "shop", f"n{number}", {"shop": "s", "token": "t"}).id for number in range(5)
        ]
        first = service.list_accounts(work, first=2)
        rest = service.list_accounts(work, after_id=first[-1].id)
    assert [account.id for account in [*first, *rest]] == sorted(made)
