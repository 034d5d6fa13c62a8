"""The command line: results on standard output, everything else on standard error, exit codes 0, 1 and 2."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlead import __version__
from fairlead.cli import app
from fairlead.cli_server import run_until_stopped
from fairlead.engine.memory import MemoryEngine
from fairlead.settings import Settings
from fairlead.storage.crypto import Keyring

runner = CliRunner()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty installation."""
    for name in list(os.environ):
        if name.startswith("FAIRLEAD_") and name != "FAIRLEAD_TEST_POSTGRES":
            monkeypatch.delenv(name)
    monkeypatch.setenv("FAIRLEAD_DATABASE_URL", f"sqlite:///{tmp_path / 'f.db'}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str, code: int = 0) -> Any:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def data(*arguments: str) -> Any:
    return json.loads(call(*arguments, "--json").stdout)


@pytest.fixture
def installed(home: Path) -> Path:
    """A migrated installation with the client ``acme`` and an admin."""
    call("migrate")
    call("client", "create", "acme", "Acme")
    call("member", "add", "Root", "root@example.com", "--role", "admin")
    return home


def member(name: str = "Root") -> int:
    return next(row["id"] for row in data("member", "list") if row["name"] == name)


def test_version() -> None:
    assert call("--version").stdout == f"fairlead {__version__}\n"


def test_every_command_explains_itself() -> None:
    for command in ("migrate", "serve", "worker", "schema", "docs", "demo", "import", "client", "member", "token"):
        assert len(call(command, "--help").stdout) > 100
    call("nothing", code=2)
    call("client", "create", code=2)


def test_before_the_database_is_set_up_the_next_step_is_said(home: Path) -> None:
    result = call("client", "list", code=1)
    assert "fairlead migrate" in result.stderr
    assert result.stdout == ""


def test_processes_refuse_a_database_that_is_behind(home: Path) -> None:
    for command in ("serve", "worker"):
        assert "fairlead migrate" in call(command, code=1).stderr


def test_migrate_can_be_run_again_and_checked(home: Path) -> None:
    assert "no database yet" in call("migrate", "--check").stdout
    call("migrate")
    assert data("migrate")["revision"] == "head"
    assert data("migrate", "--check") == {"database": "current", "drift": []}
    assert "nothing was changed" in runner.invoke(app, ["migrate", "--downgrade", "base"], input="n\n").stderr
    call("migrate", "--downgrade", "base", "--yes")
    assert "fairlead migrate" in call("migrate", "--check", code=1).stderr
    call("migrate", "--check", "--downgrade", "base", code=2)


def test_clients_members_and_tokens(installed: Path) -> None:
    (row,) = data("client", "list")
    assert (row["slug"], row["zone"], row["plugins"]) == ("acme", "Asia/Shanghai", [])
    call("member", "add", "Li", "li@example.com", "--role", "analyst", "--client", "acme")
    rows = data("member", "list")
    assert [(row["name"], row["roles"]) for row in rows] == [("Root", ["admin@agency"]), ("Li", ["analyst@acme"])]
    assert "example.com" not in json.dumps(rows)
    issued = data("token", "issue", str(member()), "--name", "ci", "--client", "acme", "--days", "3")
    assert issued["token"].startswith("fl_")
    assert issued["clients"] == [row["id"]]
    listed = call("token", "list", "--json").stdout
    assert issued["token"] not in listed
    assert [token["id"] for token in json.loads(listed)] == [issued["id"]]
    call("token", "revoke", str(issued["id"]))
    assert data("token", "list") == []
    assert len(data("token", "list", "--ended")) == 1


def test_a_token_for_people_is_alone_on_standard_output(installed: Path) -> None:
    result = call("token", "issue", str(member()), "--name", "ci")
    assert result.stdout.strip().startswith("fl_")
    assert len(result.stdout.split()) == 1
    assert "not shown again" in result.stderr


def test_refusals_name_the_field_and_the_next_step(installed: Path) -> None:
    result = call("client", "create", "Bad Slug", "x", "--zone", "Nowhere", code=1)
    assert "slug:" in result.stderr
    assert "zone:" in result.stderr
    assert result.stdout == ""
    assert "choose another slug" in call("client", "create", "acme", "x", code=1).stderr
    assert "no such role" in call("member", "add", "X", "x@example.com", "--role", "boss", code=1).stderr
    assert "FAIRLEAD_DATABASE_URL" in _with("FAIRLEAD_DATABASE_URL", "mysql://x/y", "client", "list", code=2).stderr


def _with(name: str, value: str, *arguments: str, code: int) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        return call(*arguments, code=code)


def test_roles_and_permissions_are_listed(installed: Path) -> None:
    assert {row["role"] for row in data("member", "roles")} == {"admin", "operator", "analyst", "approver"}
    assert "profiles:reveal" in data("member", "permissions")


def test_the_audit_log_is_verified(installed: Path) -> None:
    chains = data("audit", "verify")
    assert [(chain["ok"], chain["problem_count"]) for chain in chains] == [(True, 0), (True, 0)]
    acme = next(chain for chain in chains if chain["chain"] != "agency")
    anchor = f"{acme['head_number']}:{acme['head_digest']}"
    call("audit", "verify", "--client", "acme", "--anchor", anchor)
    call("audit", "verify", "--client", "acme", "--anchor", f"1:{'00' * 32}", code=1)
    call("audit", "verify", "--anchor", anchor, code=2)
    call("audit", "verify", "--client", "acme", "--anchor", "nonsense", code=2)
    with sqlite3.connect(installed / "f.db") as connection:
        connection.execute("DROP TRIGGER audit_entry_no_update")
        connection.execute("UPDATE audit_entry SET actor = 'nobody' WHERE client_id <> 0")
    connection.close()
    result = call("audit", "verify", "--client", "acme", code=1)
    assert "changed" in result.stderr
    result = runner.invoke(app, ["audit", "verify", "--json"])
    assert result.exit_code == 1
    assert [chain["ok"] for chain in json.loads(result.stdout)] == [True, False]


def test_keys_are_made_rotated_and_checked(installed: Path) -> None:
    keys = installed / "keys"
    assert [(row["key"], row["values"]) for row in data("keys", "check")] == [("k1", 1)]
    call("keys", "new", "--name", "k2", "--write", str(keys))
    assert keys.stat().st_mode & 0o077 == 0
    assert Keyring.parse(keys.read_text()).active == "k2"
    assert data("keys", "rotate") == {"active": "k2", "resealed": {"member.email": 1}, "unreadable": {}}
    assert [(row["key"], row["active"], row["values"]) for row in data("keys", "check")] == [
        ("k1", False, 0),
        ("k2", True, 1),
    ]
    kept = [line for line in keys.read_text().splitlines() if not line.startswith("k2=")]
    keys.write_text("\n".join(kept))
    assert "k2" in call("keys", "check", code=1).stderr
    assert "already" in call("keys", "new", "--name", "k1", "--write", str(keys), code=1).stderr
    call("keys", "new", "--name", "index", code=2)


def test_fresh_keys_are_what_the_settings_take(home: Path) -> None:
    text = call("keys", "new").stdout
    assert Settings(keys=text).keyring().active == "k1"  # type: ignore[arg-type]


def test_an_import_needs_its_file(installed: Path) -> None:
    call("import", "missing.csv", "--client", "acme", "--mapping", "orders", code=2)


def test_an_import_keeps_its_mapping_and_says_what_it_rejected(installed: Path, tmp_path: Path) -> None:
    file, mapping, rejects = tmp_path / "o.csv", tmp_path / "o.json", tmp_path / "rejects.csv"
    file.write_text("no,at,=total\nA1,2026-01-02,10\nA2,soon,10\nA3,2026-01-02,many\n", encoding="utf-8")
    fields = {"fact": "orders", "source": "shop", "channel": {"constant": "pos"}, "order_id": "no"}
    mapping.write_text(json.dumps({**fields, "placed_at": "at", "amount": "=total"}), encoding="utf-8")
    words = ("import", str(file), "--client", "acme", "--json")
    call(*words, "--mapping", str(mapping), "--save-as", "Not A Name", code=1)
    first = json.loads(
        call(*words, "--mapping", str(mapping), "--save-as", "shop-orders", "--rejects", str(rejects)).stdout
    )
    assert (first["accepted"], first["rejected"]) == (1, 2)
    assert rejects.read_text(encoding="utf-8").splitlines() == [
        "line,column,reason",
        "3,at,is no date and time",
        "4,'=total,is no amount of money",
    ]
    again = json.loads(call(*words, "--mapping", "shop-orders").stdout)
    assert (again["accepted"], again["known"]) == (1, 1)
    assert "--save-as" in call(*words, "--mapping", "other", code=1).stderr


REPORT = "订单编号,总金额,买家实际支付金额,收货地址 ,订单创建时间,订单付款时间 ,退款金额\n"
REPORT_ROW = "1,12.50,12.50,上海,2020-02-21 00:00:00,2020-02-24 00:00:00,0.00\n"


def test_an_import_without_a_mapping_asks_the_importers(installed: Path) -> None:
    (installed / "report.csv").write_text(REPORT + REPORT_ROW, "utf-8")
    refused = call("import", "report.csv", "--client", "acme", code=1).stderr
    assert "no importer is on for the client" in refused
    assert "--mapping" in refused or "give a mapping" in refused
    call("client", "create", "bolt", "Bolt", "--plugin", "tmall_report")
    taken = data("import", "report.csv", "--client", "bolt")
    assert (taken["importer"], taken["read"], taken["accepted"], taken["rejected"]) == ("tmall_report", 1, 1, 0)
    again = data("import", "report.csv", "--client", "bolt")
    assert (again["accepted"], again["known"]) == (1, 1)
    (installed / "other.csv").write_text("a,b\n1,2\n", "utf-8")
    refused = call("import", "other.csv", "--client", "bolt", code=1).stderr
    assert "none of tmall_report recognises the columns" in refused
    assert "next:" in refused


def test_the_worker_stops_when_asked() -> None:
    engine, stop, ran = MemoryEngine(), threading.Event(), threading.Event()

    def note(payload: dict[str, Any]) -> None:
        ran.set()

    engine.register("test.note", note)
    outcome: list[bool] = []
    thread = threading.Thread(target=lambda: outcome.append(run_until_stopped(engine, 5.0, stop)))
    thread.start()
    end = time.monotonic() + 30
    while not engine._registry.started:
        assert time.monotonic() < end, "the engine does not start"
        time.sleep(0.01)
    engine.enqueue("test.note", {})
    assert ran.wait(30)
    stop.set()
    thread.join(30)
    assert outcome == [True]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_worker_process_ends_well_on_sigterm(installed: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fairlead.cli", "worker", "--grace", "5"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=installed,
    )
    try:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if '"event": "working"' in line:
                break
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, "".join(seen) + rest
    assert "Traceback" not in "".join(seen) + rest


def test_documents_alone_run_only_where_there_are_documents(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("migrate")
    for given in (None, ""):
        if given is not None:
            monkeypatch.setenv("FAIRLEAD_TRUSTED_DOCUMENTS", given)
        monkeypatch.setenv("FAIRLEAD_TRUSTED_DOCUMENTS_ONLY", "1")
        result = call("serve", "--port", "0", code=2)
        assert "FAIRLEAD_TRUSTED_DOCUMENTS_ONLY" in result.stderr
        assert "set FAIRLEAD_TRUSTED_DOCUMENTS" in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("{", "JSON"),
        ("[]", "one JSON object"),
        ('{"0a4d55a8d778e5022fab": "{ health }"}', "SHA-256"),
    ],
)
def test_documents_that_cannot_be_read_end_the_server_in_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, says: str
) -> None:
    call("migrate")
    if text is not None:
        (home / "documents.json").write_text(text)
    monkeypatch.setenv("FAIRLEAD_TRUSTED_DOCUMENTS", str(home / "documents.json"))
    result = call("serve", "--port", "0", code=1)
    assert "FAIRLEAD_TRUSTED_DOCUMENTS" in result.stderr
    assert says in result.stderr
    assert "sha256" in result.stderr


def test_a_client_with_an_unknown_plugin_is_not_made(installed: Path) -> None:
    result = call("client", "create", "bolt", "Bolt", "--plugin", "console", "--plugin", "nosuch", code=1)
    assert "there is no plugin nosuch" in result.stderr
    assert [row["slug"] for row in data("client", "list")] == ["acme"]
    assert data("client", "create", "bolt", "Bolt", "--plugin", "console")["plugins"] == ["console"]


def test_a_key_file_is_written_past_what_a_killed_process_left(home: Path) -> None:
    ring = home / "ring"
    call("keys", "new", "--write", str(ring))
    for left in ("ring.new", "ring.tmp"):
        (home / left).write_text("half")
    call("keys", "new", "--name", "k2", "--write", str(ring))
    assert list(Keyring.parse(ring.read_text()).masters) == ["k2", "k1"]
    assert sorted(path.name for path in home.iterdir()) == ["ring", "ring.new", "ring.tmp"]


def test_a_socket_takes_messages_as_long_as_the_limit_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("uvicorn.run", lambda *_, **options: given.update(options))
    monkeypatch.setenv("FAIRLEAD_LIMIT_SOCKET_FRAME_BYTES", "2000000")
    call("migrate")
    call("serve")
    assert given["ws_max_size"] == 2_000_000
