"""Certificates made on the spot, and a real SMTP server in a process of its own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairlead_email.settings import EmailSettings


@dataclass(frozen=True)
class Certificates:
    """PEM files for 127.0.0.1, and the authority that signed them as text."""

    certificate: Path
    private_key: Path
    authority: str


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and a server certificate for 127.0.0.1, valid for a day."""
    folder = tmp_path_factory.mktemp("tls")
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def builder(subject: str, key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("test authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        )

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    authority = (
        builder("test authority", root.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(root, hashes.SHA256())
    )
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    server = (
        builder("test server", leaf.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(local, critical=False)
        .sign(root, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(server.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificates(folder / "cert.pem", folder / "key.pem", authority.public_bytes(pem).decode())


@dataclass
class RealServer:
    """A running server process: where it listens and what it has taken."""

    port: int
    store: Path
    process: subprocess.Popen[str]

    def taken(self) -> list[dict[str, Any]]:
        """The mails it took, in order."""
        return [json.loads(line) for line in self.store.read_text().splitlines()] if self.store.exists() else []

    def settings(self, **changes: Any) -> EmailSettings:
        """Settings of an account at this server."""
        base = {"host": "127.0.0.1", "port": self.port, "from_address": "news@shop.example", "timeout_seconds": 10}
        if "security" not in changes:
            base |= {"security": "none", "allow_unencrypted": True}
        return EmailSettings.model_validate({**base, **changes})


@pytest.fixture
def real_server(tmp_path: Path) -> Iterator[Callable[..., RealServer]]:
    """``real_server("--tls", "tls", ...)`` starts one; all are ended with the test."""
    with ExitStack() as running:

        def start(*options: str) -> RealServer:
            store = tmp_path / "taken.jsonl"
            script = str(Path(__file__).with_name("real_server.py"))
            process = running.enter_context(
                subprocess.Popen([sys.executable, script, str(store), *options], stdout=subprocess.PIPE, text=True)
            )
            running.callback(process.terminate)
            assert process.stdout is not None
            return RealServer(int(process.stdout.readline()), store, process)

        yield start
