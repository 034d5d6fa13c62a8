"""What is personal or secret stands nowhere in clear: not in the database's bytes, not in the logs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import structlog

import fairlead_console
from fairlead.channels.service import connect_account
from fairlead.clients import members, tokens
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_agency, create_client
from fairlead.customers.blocking import block_identity
from fairlead.customers.consent import grant
from fairlead.customers.imports import import_file, parse_mapping
from fairlead.customers.model import Profile
from fairlead.governance.permissions import Anonymous
from fairlead.messaging.dispatch import dispatch
from fairlead.messaging.outbox import queue_messages
from fairlead.messaging.templates import save_template
from fairlead.runtime import Fairlead
from fairlead.storage.database import normalise_url

PHONE, EMAIL, NAME, BLOCKED = "13857994711", "canary.kx7q@people.example", "金丝雀柯七", "13957994712"
MEMBER_EMAIL, SECRET = "canary.keeper@agency.example", "t0-canary-s3cr3t-8h2"
MAPPING = {
    "fact": "profiles",
    "source": "members",
    "channel": {"constant": "pos"},
    "name": "name",
    "identities": [{"kind": "phone", "column": "phone"}, {"kind": "email", "column": "email"}],
}


def live(runtime: Fairlead, folder: Path) -> list[str]:
    """Somebody is imported, written to and refused once; the answer is what must be nowhere."""
    with runtime.agency_work("test") as work:
        agency = create_agency(work, "main", "Agency").id
        client_id = create_client(work, agency, "acme", "Acme").id
        keeper = members.add_member(work, agency, "Keeper", MEMBER_EMAIL, role="admin")
        token = tokens.issue_token(work, keeper.id, "test").secret
    assert runtime.authenticate(token).key != Anonymous().key
    with runtime.work("acme") as work:
        for name in runtime.plugins.names:
            set_plugin(work, runtime.plugins, name, True)
    file = folder / "people.csv"
    lines = ["name,phone,email", f"{NAME},{PHONE},{EMAIL}", f"{NAME},{PHONE}x,{EMAIL}@", f"{NAME},,", ""]
    file.write_text("\n".join(lines), "utf-8")
    import_file(runtime, "acme", file, parse_mapping(MAPPING))
    with runtime.work("acme") as work:
        block_identity(work, "phone", BLOCKED, "the shop's own")
        connect_account(work, "shop", "main", {"shop": "s1", "token": SECRET})
        account = connect_account(
            work, "console", "out", {"path": str(folder / "out.jsonl")}, permission_level="write"
        ).id
        save_template(work, "hello", subject="Hi", text="{{ profile.name }}")
        person = work.session.scalars(sa.select(Profile.id).order_by(Profile.id).limit(1)).one()
        grant(work, person, "service", "*", source="test", evidence={})
        queue_messages(work, "out", "hello", "service", np.array([person], np.int64), ["canary"])
    dispatch(runtime, client_id, account)
    assert NAME in (folder / "out.jsonl").read_text("utf-8"), "the message was not sent"
    return [PHONE, EMAIL, NAME, BLOCKED, MEMBER_EMAIL, SECRET, token]


def stored(url: str, folder: Path) -> bytes:
    """Everything that the database keeps: its files, or its dump."""
    parsed = normalise_url(url)
    if parsed.get_backend_name() == "sqlite":
        assert parsed.database is not None
        return b"".join(file.read_bytes() for file in sorted(Path(parsed.database).parent.glob("fairlead.db*")))
    if shutil.which("pg_dump") is None:
        pytest.skip("needs pg_dump")
    plain = parsed.set(drivername="postgresql")
    environment = os.environ | {"PGPASSWORD": plain.password or ""}
    command = ["pg_dump", "--inserts", plain.set(password=None).render_as_string()]
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


def test_nothing_personal_is_kept_or_logged_in_clear(
    build_runtime: Callable[..., Fairlead],
    database_url: str,
    plugin: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "outside"
    folder.mkdir()
    caplog.set_level("DEBUG")
    runtime = build_runtime(plugin, fairlead_console, cache_seconds=0)
    with structlog.testing.capture_logs() as entries:
        canaries = live(runtime, folder)
    said = "".join([str(entries), caplog.text, *capfd.readouterr()])
    kept = stored(database_url, tmp_path)
    assert b"canary" in kept, "the message's key stands in the database"
    for canary in canaries:
        assert canary not in said
        for spelling in (canary, canary.lower(), canary.encode("unicode_escape").decode()):
            assert spelling.encode() not in kept, canary
