"""What is sealed opens only where it belongs, and a blind index tells nothing without its key."""

from __future__ import annotations

import hashlib
import hmac
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from fairlead.customers.model import Profile
from fairlead.storage.crypto import BLIND_BYTES, SIGNATURE_BYTES, KeyProblem, Keyring, Vault
from fairlead.storage.database import Database
from fairlead.storage.scope import ClientScope
from fairlead.storage.types import Sealed

RING = Keyring.generate("k1")
VAULT = Vault(RING)
CLIENTS = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
COLUMN = "identity.value"


@given(client=CLIENTS, text=TEXT)
def test_what_was_sealed_opens(client: int, text: str) -> None:
    assert VAULT.open(client, COLUMN, VAULT.seal(client, COLUMN, text)) == text


@given(texts=st.lists(TEXT, max_size=5))
def test_many_are_sealed_like_one_and_never_alike(texts: list[str]) -> None:
    sealed = VAULT.seal_many(7, COLUMN, texts + texts)
    assert [VAULT.open(7, COLUMN, value) for value in sealed] == texts + texts
    assert len(set(sealed)) == len(sealed)


@given(client=CLIENTS, other=CLIENTS, text=TEXT)
def test_another_client_or_column_does_not_open(client: int, other: int, text: str) -> None:
    sealed = VAULT.seal(client, COLUMN, text)
    with pytest.raises(KeyProblem):
        VAULT.open(client, "profile.name", sealed)
    if other != client:
        with pytest.raises(KeyProblem):
            VAULT.open(other, COLUMN, sealed)


@given(text=TEXT, at=st.integers(0), flip=st.integers(1, 255), cut=st.integers(0))
def test_a_changed_byte_or_a_missing_end_does_not_open(text: str, at: int, flip: int, cut: int) -> None:
    sealed = bytearray(VAULT.seal(7, COLUMN, text))
    short = Sealed(sealed[: cut % len(sealed)])
    sealed[at % len(sealed)] ^= flip
    for broken in (Sealed(sealed), short):
        with pytest.raises(KeyProblem):
            VAULT.open(7, COLUMN, broken)


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    old = VAULT.seal(7, COLUMN, "13812345678")
    fresh = Keyring.generate("k2")
    ring = Keyring(active="k2", masters={**fresh.masters, **RING.masters}, index=RING.index)
    both = Vault(Keyring.parse(ring.dump()))
    new = both.seal(7, COLUMN, "13812345678")
    assert (Vault.key_id(old), Vault.key_id(new), both.active) == ("k1", "k2", "k2")
    assert both.open(7, COLUMN, old) == both.open(7, COLUMN, new) == "13812345678"
    assert both.blind(7, "phone", "x") == VAULT.blind(7, "phone", "x")
    with pytest.raises(KeyProblem, match="'k2' is not in the key ring"):
        VAULT.open(7, COLUMN, new)


@given(one=CLIENTS, other=CLIENTS, value=TEXT, kind=st.sampled_from(["phone", "email"]))
def test_a_blind_index_is_keyed_per_client_and_kind(one: int, other: int, value: str, kind: str) -> None:
    blind = VAULT.blind(one, kind, value)
    assert blind == VAULT.blind_many(one, kind, ["", value])[1]
    assert len(blind) == BLIND_BYTES
    assert (VAULT.blind(other, kind, value) == blind) == (one == other)
    assert VAULT.blind(one, "member", value) != blind
    assert Vault(Keyring.generate()).blind(one, kind, value) != blind


@given(one=CLIENTS, other=CLIENTS, text=TEXT, purpose=st.sampled_from(["unsubscribe", "phone"]))
def test_a_signature_is_for_one_client_one_purpose_and_one_text(one: int, other: int, text: str, purpose: str) -> None:
    signature = VAULT.sign(one, purpose, text)
    assert len(signature) == SIGNATURE_BYTES
    assert VAULT.verify(one, purpose, text, signature)
    assert VAULT.verify(other, purpose, text, signature) == (one == other)
    assert not VAULT.verify(one, "member", text, signature)
    assert not VAULT.verify(one, purpose, text + "x", signature)
    assert not Vault(Keyring.generate()).verify(one, purpose, text, signature)
    for wrong in (b"", signature[:-1], signature + b"\0", bytes((signature[0] ^ 1,)) + signature[1:]):
        assert not VAULT.verify(one, purpose, text, wrong)
    # A blind index that comes to light somewhere must not be a signature of what it indexes.
    assert not VAULT.verify(one, purpose, text, VAULT.blind(one, purpose, text))


def test_without_the_key_a_guess_cannot_be_tested() -> None:
    # All numbers of one prefix's thousand are few: whoever could hash them alone would know the phone.
    phone = "+8613812345678"
    blind = VAULT.blind(7, "phone", phone)
    guesses = [f"+861381234{last:04d}" for last in range(5000, 6000)]
    assert phone in guesses
    plain = (hashlib.sha256, hashlib.md5, hashlib.sha1, hashlib.blake2b)
    for guess in guesses:
        for text in (guess, f"phone\0{guess}", f"7/phone/{guess}"):
            assert all(blind not in digest(text.encode()).digest() for digest in plain)
            assert hmac.digest(b"", text.encode(), "sha256")[:BLIND_BYTES] != blind


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least one master key"),
        ("k1=AAAA", "has 3 bytes"),
        ("k1=***", "is not base64"),
        ("abcdefghijklmnop=" + "A" * 43 + "=", "at most 15"),
    ],
)
def test_bad_keys_are_named_and_never_shown(text: str, says: str) -> None:
    with pytest.raises(KeyProblem, match=says) as caught:
        Keyring.parse(text)
    assert "AAAA" not in str(caught.value)
    assert not any(key.hex() in repr(RING) for key in RING.masters.values())


def test_processes_that_start_at_once_read_the_same_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    rings: list[Keyring] = []
    threads = [threading.Thread(target=lambda: rings.append(Keyring.from_file(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rings) == 8
    assert all(ring == rings[0] for ring in rings)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]


def test_a_personal_column_refuses_plain_text(database: Database) -> None:
    with database.read(ClientScope(7)) as session:
        for wrong in ("王小明", b"bytes"):
            with pytest.raises(sa.exc.StatementError, match="seal it with the vault first"):
                session.execute(sa.select(Profile.id).where(Profile.name == wrong))
        assert (
            session.scalars(sa.select(Profile.id).where(Profile.name == VAULT.seal(7, "profile.name", "x"))).all() == []
        )
