"""Commands that set up and run processes: migrate, serve, worker."""

from __future__ import annotations

import importlib
import signal
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from fairlead.cli_output import Failure, Json, emit, guarded, stderr
from fairlead.engine.port import Engine
from fairlead.observability.logging import configure_logging, get_logger
from fairlead.plugins.manager import Plugins
from fairlead.runtime import open_runtime
from fairlead.settings import Settings
from fairlead.storage import migrate as migrations
from fairlead.storage.database import Database
from fairlead.workflows import build_engine

APPLICATION = "fairlead_graphql.app:create_app"
LIMITS = "fairlead_graphql.door.limits"

log = get_logger("fairlead.cli")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(migrate)
    app.command()(serve)
    app.command()(worker)


@guarded
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; 1 if something is to be done.")] = False,
    downgrade: Annotated[
        str | None,
        typer.Option("--downgrade", metavar="REV", help="Take the core's tables back to a revision, or `base`."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a downgrade.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the database to the newest revision, the plugins' tables included. Safe to run again."""
    settings = Settings()
    if check and downgrade is not None:
        raise Failure("give --check or --downgrade, not both", code=2)
    if check:
        _check(settings, as_json)
        return
    settings.prepare()
    # The keys come first: a database without its keys is one that nothing can be read from.
    settings.vault()
    database = Database(settings.database_url)
    try:
        if downgrade is not None:
            if not yes and not typer.confirm(f"Downgrade to {downgrade}? Data in newer tables is lost.", err=True):
                raise Failure("nothing was changed")
            migrations.downgrade(database, downgrade)
            result = {"revision": downgrade}
        else:
            plugins = Plugins.discover(policy=settings.plugin_policy)
            migrations.upgrade(database, plugins.migrations())
            result = {"revision": "head", "plugins": [source.name for source in plugins.migrations()]}  # type: ignore[dict-item]
    finally:
        database.dispose()
    if as_json:
        emit(result)
    else:
        typer.echo(f"the database is at {result['revision']}")


def _check(settings: Settings, as_json: bool) -> None:
    """Compare the models with the migrations on a scratch database, and the configured database with both."""
    found: dict[str, Any] = {"drift": [], "database": "none"}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Database(f"sqlite:///{Path(folder) / 'scratch.db'}")
        migrations.upgrade(scratch)
        found["drift"] += [str(difference) for difference in migrations.drift(scratch)]
        scratch.dispose()
    file = settings.database_file
    if file is None or file.is_file():
        database = Database(settings.database_url)
        try:
            found["database"] = "behind" if migrations.pending(database) else "current"
            if found["database"] == "current":
                found["drift"] += [str(difference) for difference in migrations.drift(database)]
        finally:
            database.dispose()
    if as_json:
        emit(found)
    if found["drift"]:
        raise Failure(
            f"models and migrations differ: {'; '.join(found['drift'])[:2000]}", "write a revision for the difference"
        )
    if found["database"] == "behind":
        raise Failure("the database is behind", "run `fairlead migrate`")
    if not as_json:
        typer.echo(
            "models and migrations agree; "
            + ("no database yet" if file and not file.is_file() else "the database is current")
        )


@guarded
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8000,
    proxy: Annotated[
        str, typer.Option("--trust-proxy", help="Addresses whose X-Forwarded-* headers are believed, by comma.")
    ] = "",
    grace: Annotated[int, typer.Option("--grace", min=1, help="Seconds for open requests when stopping.")] = 30,
) -> None:
    """Serve the GraphQL API. With SQLite the background work runs in this process too."""
    import uvicorn

    settings = Settings()
    limits = importlib.import_module(LIMITS).Limits()
    settings.prepare()
    settings.vault()
    configure_logging(settings.log_level, json=settings.log_json)
    database = Database(settings.database_url)
    try:
        _require_current(database)
    finally:
        database.dispose()
    try:
        uvicorn.run(
            APPLICATION,
            factory=True,
            host=host,
            port=port,
            proxy_headers=bool(proxy),
            forwarded_allow_ips=proxy or None,
            server_header=False,
            log_config=None,
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=limits.socket_frame_bytes,
            timeout_graceful_shutdown=grace,
        )
    except SystemExit as stopped:
        if stopped.code:
            raise Failure("the server could not start", "the log above says why") from None


@guarded
def worker(
    grace: Annotated[float, typer.Option("--grace", min=0, help="Seconds for runs in progress when stopping.")] = 30.0,
) -> None:
    """Run background work until SIGTERM or Ctrl-C; a run that does not end in time goes on elsewhere or later."""
    settings = Settings()
    configure_logging(settings.log_level, json=settings.log_json)
    with open_runtime(settings) as runtime:
        _require_current(runtime.database)
        engine = build_engine(runtime)
        if not run_until_stopped(engine, grace):
            stderr().print("some runs were still busy; they go on when a worker starts", markup=False)


def _require_current(database: Database) -> None:
    if migrations.pending(database):
        raise Failure("the database is behind", "run `fairlead migrate`")


def run_until_stopped(engine: Engine, grace: float, stop: threading.Event | None = None) -> bool:
    """Start the engine, wait for SIGTERM, SIGINT or ``stop``, and stop it; whether all runs ended in time."""
    stop = stop or threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    mine = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)} if mine else {}
    try:
        engine.start()
        log.info("working")
        # A wait without a limit would keep some platforms from delivering the signal.
        while not stop.wait(1.0):
            pass
        return engine.stop(grace)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
