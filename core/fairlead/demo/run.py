"""``fairlead demo``: the main job on data, from files to the channel that earned it, and then the API to look at it.

Everything goes the way a real installation goes: migrations, members, imports, segments, the background engine, channel
plugins, attribution. Only the clock is moved, so that the journey's waits do not have to be sat out.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from fairlead.clients.service import create_agency
from fairlead.demo.clock import DemoClock
from fairlead.demo.public_data import run_public_data
from fairlead.demo.sample_shop import run_sample_shop
from fairlead.demo.stage import Stage, fresh_database
from fairlead.errors import InvalidInput
from fairlead.observability.logging import configure_logging
from fairlead.runtime import open_runtime
from fairlead.settings import Settings
from fairlead.storage.crypto import Keyring
from fairlead.workflows import build_engine

FOLDER = Path(".fairlead/demo")


def main(
    *,
    serve: bool = True,
    as_json: bool = False,
    data: Path | None = None,
    database_url: str | None = None,
    port: int = 8000,
) -> int:
    """Run the demonstration; the answer is the exit code. Chatter goes to stderr, only the result to stdout."""
    if data is not None and not (data / "taobao_user_behavior").is_dir():
        raise InvalidInput(
            f"{data} does not hold the public data sets",
            path=("data",),
            next_step="leave --data out to use the generated sample",
        )
    console = Console(stderr=True)
    settings = _settings(database_url, port)
    configure_logging("warning", json=False)
    fresh_database(settings)
    _clear()
    clock = DemoClock()
    # The mail server lives on while the API is served, so that what is sent from GraphiQL arrives too.
    with ExitStack() as helpers:
        with open_runtime(settings, clock=clock) as runtime:
            engine = build_engine(runtime)
            runtime.engine = engine
            engine.start()
            with runtime.agency_work("demo") as work:
                agency = create_agency(work, "demo", "Demo agency")
            stage = Stage(runtime, engine, clock, console, FOLDER, agency.id, helpers)
            result = run_public_data(stage, data) if data is not None else run_sample_shop(stage)
            token = stage.admin_token()
        _show(result, as_json)
        if serve:
            _serve(settings, token, port, console)
    return 0


def _settings(database_url: str | None, port: int) -> Settings:
    database_url = database_url or os.environ.get("FAIRLEAD_DATABASE_URL")
    if database_url is None:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = database_url or f"sqlite:///{FOLDER / 'demo.db'}"
    os.environ.update(
        FAIRLEAD_DATABASE_URL=url, FAIRLEAD_GRAPHIQL="1", FAIRLEAD_LOG_JSON="0", FAIRLEAD_LOG_LEVEL="warning"
    )
    os.environ.setdefault("FAIRLEAD_ALLOW_HOSTS", "127.0.0.1")
    os.environ.setdefault("FAIRLEAD_CONSOLE_FOLDER", str(FOLDER.resolve()))
    if "FAIRLEAD_KEYS" not in os.environ and "FAIRLEAD_KEY_FILE" not in os.environ:
        Keyring.from_file(FOLDER / "demo.keys")
        os.environ["FAIRLEAD_KEY_FILE"] = str(FOLDER / "demo.keys")
    os.environ.setdefault("FAIRLEAD_PUBLIC_URL", f"http://127.0.0.1:{port}")
    return Settings()


def _clear() -> None:
    """Take away what an earlier run wrote, which would be counted again; database and keys stay."""
    for entry in FOLDER.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.suffix in (".csv", ".jsonl"):
            entry.unlink()


def _show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(result, option=orjson.OPT_SORT_KEYS).decode())
        return
    console = Console()
    table = Table(title="What happened", title_justify="left", show_header=False)
    for name, value in result.items():
        if name not in ("credits", "credited_value", "segments"):
            table.add_row(name.replace("_", " "), _cell(value))
    console.print(table)
    credits = Table(title="Conversions each channel earned, by model", title_justify="left")
    channels = sorted({channel for row in result["credits"].values() for channel in row})
    for column in ("model", *channels):
        credits.add_column(column, justify="left" if column == "model" else "right")
    for model, row in result["credits"].items():
        credits.add_row(model, *(f"{row.get(channel, 0.0):,.1f}" for channel in channels))
    console.print(credits)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(inner)}" for name, inner in value.items() if inner not in ({}, 0)) or "-"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _serve(settings: Settings, token: str, port: int, console: Console) -> None:
    import uvicorn

    console.print(f"\n[bold]GraphiQL[/bold]   http://127.0.0.1:{port}/graphiql", highlight=False)
    console.print(
        f"[bold]Token[/bold]      {token}   (an admin of the demo agency; it is shown only here)", highlight=False
    )
    console.print(
        "Ctrl-C stops the server. The data stays in",
        settings.database_file or "the database you named",
        highlight=False,
    )
    uvicorn.run(
        "fairlead_graphql.app:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        timeout_graceful_shutdown=10,
    )
