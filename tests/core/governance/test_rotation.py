"""Changing the master key: everything is sealed anew, and a break leaves nothing half done."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.clients import members
from fairlead.customers.model import Profile
from fairlead.governance import rotation
from fairlead.governance.rotation import keys_in_use, rotate_keys, sealed_columns
from fairlead.governance.secrets import open_object, seal_object
from fairlead.runtime import Fairlead
from fairlead.storage.crypto import KeyProblem, Keyring, Vault
from fairlead.storage.types import Sealed
from support.rows import address_of


@pytest.fixture
def people(runtime: Fairlead, agency: Any) -> int:
    """Seven sealed names at two clients, and a member's address."""
    for client, count in ((agency.acme, 5), (agency.bolt, 2)):
        with runtime.work(client) as work:
            for number in range(count):
                name = work.vault.seal(client, "profile.name", f"人{number}")
                work.session.add(Profile(name=name, created_at=work.now, changed_at=work.now))
            work.session.add(Profile(created_at=work.now, changed_at=work.now))
    with runtime.agency_work("test") as work:
        return members.add_member(work, agency.id, "Root", "root@example.com", role="admin").id


def with_keys(runtime: Fairlead, keyring: Keyring, *names: str) -> Keyring:
    masters = {name: Keyring.generate(name).masters[name] for name in names}
    ring = Keyring(names[0], {**masters, **keyring.masters}, keyring.index)
    runtime.vault = Vault(ring)
    return ring


def names(runtime: Fairlead, client: int) -> list[str]:
    from sqlalchemy import select

    with runtime.reading(client) as work:
        sealed = work.session.scalars(select(Profile.name).where(Profile.name.is_not(None)).order_by(Profile.id))
        return [work.vault.open(client, "profile.name", value) for value in sealed if value is not None]


def test_all_values_move_to_the_active_key(runtime: Fairlead, agency: Any, people: int, keyring: Keyring) -> None:
    assert keys_in_use(runtime) == {"k1": 8}
    ring = with_keys(runtime, keyring, "k2")
    seen: list[tuple[str, int]] = []
    result = rotate_keys(runtime, batch=3, progress=lambda column, count: seen.append((column, count)))
    assert result.resealed == {"member.email": 1, "profile.name": 7}
    assert result.complete
    assert seen == [("member.email", 1), ("profile.name", 3), ("profile.name", 3), ("profile.name", 1)]
    assert keys_in_use(runtime) == {"k2": 8}
    runtime.vault = Vault(Keyring("k2", {"k2": ring.masters["k2"]}, ring.index))
    assert names(runtime, agency.acme) == [f"人{number}" for number in range(5)]
    assert names(runtime, agency.bolt) == ["人0", "人1"]
    with runtime.agency_reading("test") as work:
        assert address_of(work, members.get_member(work, people)) == "root@example.com"


def test_a_broken_rotation_is_run_again(
    runtime: Fairlead, agency: Any, people: int, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_keys(runtime, keyring, "k2")
    calls = []

    def breaking(column: str, count: int) -> None:
        calls.append(column)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_keys(runtime, batch=2, progress=breaking)
    assert keys_in_use(runtime) == {"k1": 3, "k2": 5}
    assert rotate_keys(runtime, batch=2).total == 3
    assert rotate_keys(runtime).total == 0


def test_what_does_not_open_is_counted_and_left(runtime: Fairlead, agency: Any, people: int, keyring: Keyring) -> None:
    lost = Vault(Keyring.generate("lost"))
    with runtime.work(agency.acme) as work:
        value = lost.seal(agency.acme, "profile.name", "x")
        work.session.add(Profile(name=value, created_at=work.now, changed_at=work.now))
    with_keys(runtime, keyring, "k2")
    result = rotate_keys(runtime, batch=2)
    assert result.unreadable == {"profile.name": 1}
    assert not result.complete
    assert keys_in_use(runtime) == {"k2": 8, "lost": 1}


def test_every_sealed_column_is_found(runtime: Fairlead) -> None:
    found = {f"{column.table.name}.{column.name}" for column in sealed_columns(runtime)}
    assert found >= {
        "member.email",
        "plugin_settings.secrets",
        "channel_account.secrets",
        "profile.name",
        "identity.value",
        "import_reject.row",
    }
    assert rotation.BATCH > 0


def test_an_object_opens_in_its_own_row_only(vault: Vault) -> None:
    sealed = seal_object(vault, 1, "t.c", 7, {"a": "秘"})
    assert sealed is not None
    assert open_object(vault, 1, "t.c", 7, sealed) == {"a": "秘"}
    assert seal_object(vault, 1, "t.c", 7, {}) is None
    assert open_object(vault, 1, "t.c", 7, None) == {}
    flipped = Sealed(bytes(sealed[:-1]) + bytes([sealed[-1] ^ 1]))
    for client, column, row, value in (
        (1, "t.c", 8, sealed),
        (2, "t.c", 7, sealed),
        (1, "t.d", 7, sealed),
        (1, "t.c", 7, flipped),
    ):
        with pytest.raises(KeyProblem):
            open_object(vault, client, column, row, value)
