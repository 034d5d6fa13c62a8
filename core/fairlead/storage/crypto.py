"""Sealing of secrets and personal data, and blind indexes to find them again.

A value is sealed with AES-256-GCM (NIST SP 800-38D) under a key derived per client by HKDF-SHA-256 (RFC 5869). The
associated data binds it to its client and column, so a ciphertext moved to another client or column does not open. The
first byte is the format, then the key's id, the 96-bit nonce, the ciphertext and the tag.

A blind index is HMAC-SHA-256 under a per-client key, cut to 128 bits: equal values of one client have equal indexes,
and nobody without the key can test a guess. A signature is made the same way under a key of its own, so that nothing
that is shown to the world is ever an index of something.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fairlead.storage.types import Sealed

FORMAT = 1
KEY_BYTES = 32
NONCE_BYTES = 12
BLIND_BYTES = 16
SIGNATURE_BYTES = 16


class KeyProblem(Exception):
    """The keys are missing, malformed, or not those a value was sealed with; says which key id, never a key."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Master keys by id; ``active`` seals, all open. ``index`` feeds the blind indexes and is not rotated with them."""

    active: str
    masters: Mapping[str, bytes]
    index: bytes

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read ``id=base64`` pairs separated by commas or lines; the first is active, ``index=`` is the index key."""
        masters: dict[str, bytes] = {}
        index = b""
        for entry in text.replace("\n", ",").split(","):
            name, _, encoded = entry.strip().partition("=")
            if not name:
                continue
            try:
                key = base64.b64decode(encoded, validate=True)
            except ValueError as error:
                raise KeyProblem(f"key {name!r} is not base64") from error
            if len(key) != KEY_BYTES:
                raise KeyProblem(f"key {name!r} has {len(key)} bytes, {KEY_BYTES} are needed")
            if name == "index":
                index = key
            elif len(name) > 15 or not name.isascii():
                raise KeyProblem(f"key id {name!r} must be at most 15 ASCII characters")
            else:
                masters[name] = key
        if not masters or not index:
            raise KeyProblem("give at least one master key and the index key; `fairlead keys new` prints a fresh pair")
        return cls(active=next(iter(masters)), masters=masters, index=index)

    @classmethod
    def generate(cls, name: str = "k1") -> Keyring:
        """Fresh random keys."""
        return cls(active=name, masters={name: secrets.token_bytes(KEY_BYTES)}, index=secrets.token_bytes(KEY_BYTES))

    @classmethod
    def from_file(cls, path: Path) -> Keyring:
        """Read the key file, making one (readable by its owner only) when there is none."""
        if not path.exists():
            draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(cls.generate().dump())
            # A link appears whole or not at all, so of two processes that start at once both read the same keys.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        return cls.parse(path.read_text("ascii"))

    def dump(self) -> str:
        """The text :meth:`parse` reads; for a key file, never for a log."""
        names = [self.active, *(name for name in self.masters if name != self.active)]
        lines = [f"{name}={base64.b64encode(self.masters[name]).decode()}" for name in names]
        return "\n".join([*lines, f"index={base64.b64encode(self.index).decode()}"]) + "\n"

    def __repr__(self) -> str:
        return f"Keyring(active={self.active!r}, keys={sorted(self.masters)!r})"


def _derive(master: bytes, purpose: str, client_id: int) -> bytes:
    info = f"fairlead/{purpose}/{client_id}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(master)


class Vault:
    """Seals, opens and indexes. ``column`` is ``table.column``; client ``0`` is the agency itself."""

    def __init__(self, keyring: Keyring) -> None:
        self._ring = keyring
        self._cipher = functools.lru_cache(maxsize=4096)(self._make_cipher)
        self._index_key = functools.lru_cache(maxsize=4096)(self._make_index_key)
        self._sign_key = functools.lru_cache(maxsize=4096)(self._make_sign_key)

    @property
    def active(self) -> str:
        """Id of the key that seals now."""
        return self._ring.active

    def _make_cipher(self, key_id: str, client_id: int) -> AESGCM:
        try:
            master = self._ring.masters[key_id]
        except KeyError:
            raise KeyProblem(f"the key {key_id!r} is not in the key ring; add it to open what it sealed") from None
        return AESGCM(_derive(master, "seal", client_id))

    def _make_index_key(self, client_id: int) -> bytes:
        return _derive(self._ring.index, "index", client_id)

    def _make_sign_key(self, client_id: int) -> bytes:
        return _derive(self._ring.index, "sign", client_id)

    def seal(self, client_id: int, column: str, text: str) -> Sealed:
        """The sealed form of ``text``."""
        return self.seal_many(client_id, column, (text,))[0]

    def seal_many(self, client_id: int, column: str, texts: Iterable[str]) -> list[Sealed]:
        """:meth:`seal` for many values of one column; the per-value cost is one AES-GCM call."""
        key_id = self._ring.active
        cipher = self._cipher(key_id, client_id)
        head = bytes((FORMAT, len(key_id))) + key_id.encode()
        bound = f"{client_id}/{column}".encode()
        out = []
        for text in texts:
            nonce = os.urandom(NONCE_BYTES)
            out.append(Sealed(head + nonce + cipher.encrypt(nonce, text.encode(), bound)))
        return out

    def open(self, client_id: int, column: str, sealed: Sealed) -> str:
        """The text again. Raises :class:`KeyProblem` for an unknown key, another client or column, a changed byte."""
        key_id = self.key_id(sealed)
        body = sealed[2 + len(key_id) :]
        cipher = self._cipher(key_id, client_id)
        try:
            plain = cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], f"{client_id}/{column}".encode())
        except (InvalidTag, ValueError):
            raise KeyProblem(
                f"a value of {column} does not open: it was changed, moved, or sealed for another client"
            ) from None
        return plain.decode()

    @staticmethod
    def key_id(sealed: Sealed) -> str:
        """Id of the key that sealed this value."""
        if len(sealed) < 3 or sealed[0] != FORMAT:
            raise KeyProblem("not a sealed value")
        return sealed[2 : 2 + sealed[1]].decode("ascii", errors="backslashreplace")

    def blind(self, client_id: int, kind: str, value: str) -> bytes:
        """The blind index of ``value``, 16 bytes."""
        return self.blind_many(client_id, kind, (value,))[0]

    def blind_many(self, client_id: int, kind: str, values: Iterable[str]) -> list[bytes]:
        """:meth:`blind` for many values of one kind."""
        key = self._index_key(client_id)
        head = kind.encode() + b"\0"
        digest = hmac.digest
        return [digest(key, head + value.encode(), "sha256")[:BLIND_BYTES] for value in values]

    def sign(self, client_id: int, purpose: str, text: str) -> bytes:
        """The signature of ``text`` for one purpose, 16 bytes; it stays good when the master keys are rotated."""
        message = purpose.encode() + b"\0" + text.encode()
        return hmac.digest(self._sign_key(client_id), message, "sha256")[:SIGNATURE_BYTES]

    def verify(self, client_id: int, purpose: str, text: str, signature: bytes) -> bool:
        """Whether ``signature`` is that of ``text``; how long the answer takes tells nothing."""
        return hmac.compare_digest(self.sign(client_id, purpose, text), signature)
