"""Commands for the master keys and for the audit log."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from fairlead.cli_output import OPERATOR, Failure, Json, emit, guarded, progress, runtime, show, tell
from fairlead.governance.audit import Anchor, VerifyResult, chains, verify_chain
from fairlead.governance.model import AGENCY
from fairlead.governance.rotation import keys_in_use
from fairlead.governance.rotation import rotate_keys as rotate
from fairlead.settings import Settings
from fairlead.storage.crypto import KeyProblem, Keyring

keys_app = typer.Typer(help="Master keys that secrets and personal data are sealed with.", no_args_is_help=True)
audit_app = typer.Typer(help="The audit log.", no_args_is_help=True)


@keys_app.command("new")
@guarded
def new_keys(
    name: Annotated[str, typer.Option("--name", help="Id of the key, at most 15 characters.")] = "k1",
    write: Annotated[
        Path | None, typer.Option("--write", help="Key file to make, or to put the new key on top of.")
    ] = None,
) -> None:
    """Make a fresh master key: printed as text for FAIRLEAD_KEYS, or written into a key file.

    In an existing file the new key becomes the active one and the old ones stay, so that they still open what they
    sealed; run `fairlead keys rotate` next. The index key is never replaced.
    """
    if not name or len(name) > 15 or not name.isascii() or not name.isalnum() or name == "index":
        raise Failure("a key id has 1 to 15 ASCII letters and digits, and is not `index`", code=2)
    fresh = Keyring.generate(name)
    if write is None:
        typer.echo(fresh.dump(), nl=False)
        return
    if write.exists():
        old = Keyring.parse(write.read_text("ascii"))
        if name in old.masters:
            raise Failure(f"the file has a key {name} already", "choose another --name")
        fresh = Keyring(active=name, masters={**fresh.masters, **old.masters}, index=old.index)
    _replace_file(write, fresh.dump())
    typer.echo(f"{write} has the active key {name}")


@keys_app.command("rotate")
@guarded
def rotate_all(
    batch: Annotated[int, typer.Option("--batch", min=1, help="Values per transaction.")] = 500, as_json: Json = False
) -> None:
    """Re-seal everything under the active key. Can be broken off and run again at any time."""
    with runtime() as opened:
        total = 0
        with progress("re-sealing") as bar:

            def count(_column: str, done: int) -> None:
                nonlocal total
                total += done
                bar(total, None)

            result = rotate(opened, batch, count)
    row = {"active": result.active, "resealed": result.resealed, "unreadable": result.unreadable}
    emit(row) if as_json else typer.echo(f"{result.total} values are now sealed by {result.active}")
    if result.unreadable:
        columns = ", ".join(f"{name}: {count}" for name, count in sorted(result.unreadable.items()))
        raise Failure(f"some values do not open ({columns})", "add the key that sealed them to the key ring")


@keys_app.command("check")
@guarded
def check_keys(as_json: Json = False) -> None:
    """Say which keys are there and how many values each one sealed; 1 when a needed key is missing."""
    settings = Settings()
    ring = settings.keyring()
    with runtime(settings) as opened:
        used = keys_in_use(opened)
    names = sorted(ring.masters.keys() | used.keys())
    rows: list[dict[str, Any]] = [
        {"key": name, "active": name == ring.active, "present": name in ring.masters, "values": used.get(name, 0)}
        for name in names
    ]
    show(rows, as_json, title="master keys")
    missing = [name for name in names if name not in ring.masters]
    if missing:
        raise KeyProblem(f"values are sealed by keys that are not in the key ring: {', '.join(missing)}")


@audit_app.command("verify")
@guarded
def verify(
    client: Annotated[str | None, typer.Option("--client", help="Slug of one client; without it all chains.")] = None,
    anchor: Annotated[
        str | None, typer.Option("--anchor", metavar="NUMBER:DIGEST", help="A head kept outside; needs --client.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read whole chains of the audit log and say whether every entry stands as it was written; 1 if not."""
    if anchor is not None and client is None:
        raise Failure("an anchor belongs to one chain: name it by --client", code=2)
    kept = _anchor(anchor)
    with runtime() as opened, opened.agency_reading("verify the audit log", OPERATOR) as work:
        wanted = chains(work.session) if client is None else [opened.client(client).id]
        results = [verify_chain(work.session, chain, anchor=kept) for chain in wanted]
    if as_json:
        emit([_row(result) for result in results])
    else:
        columns = ("chain", "entries", "ok", "head_number", "head_digest")
        show([_row(result) for result in results], False, title="audit log", columns=columns)
    bad = [result for result in results if not result.ok]
    for result in bad:
        for problem in result.problems[:20]:
            tell(f"chain {_name(result)}, entry {problem.number}: {problem.kind}: {problem.text}")
    if bad:
        raise Failure(
            "the audit log was changed outside the application",
            "compare with a backup, and keep this database as it is",
        )


def _row(result: VerifyResult) -> dict[str, Any]:
    return {
        "chain": _name(result),
        "entries": result.entries,
        "ok": result.ok,
        "head_number": result.head_number,
        "head_digest": result.head_digest,
        "problem_count": result.problem_count,
        "problems": [{"kind": one.kind, "number": one.number, "text": one.text} for one in result.problems],
    }


def _name(result: VerifyResult) -> str | int:
    return "agency" if result.client_id == AGENCY else result.client_id


def _anchor(text: str | None) -> Anchor | None:
    if text is None:
        return None
    number, _, digest = text.partition(":")
    try:
        return Anchor(int(number), bytes.fromhex(digest))
    except ValueError:
        raise Failure("an anchor is NUMBER:DIGEST, as `audit verify --json` printed it", code=2) from None


def _replace_file(path: Path, text: str) -> None:
    """Write beside and rename, so that a crash leaves the old keys or the new ones."""
    # A name of its own each time: what a killed process left behind must not stop the next one.
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
