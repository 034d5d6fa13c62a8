"""``fairlead plugin``: what is installed, whether it keeps its contract, and how to start one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fairlead.plugins.manifest import Kind

plugin_app = typer.Typer(no_args_is_help=True, help="List, check and start plugins.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


@plugin_app.command("list")
def list_plugins(as_json: Json = False) -> None:
    """Show every installed plugin: what it adds, from which distribution, and why it is off if it is."""
    from fairlead.plugins.manager import Plugins
    from fairlead.plugins.registry import PluginClash

    try:
        rows = [_row(status) for status in Plugins.discover().statuses()]
    except PluginClash as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        _print_table(rows)
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(1)


@plugin_app.command("check")
def check_plugins(
    name: Annotated[str, typer.Argument(help="Entry name of the plugin; all of them when left out.")] = "",
    harness: Annotated[
        str, typer.Option(help="file.py:function that gives the kit a twin; default tests/twin.py:harness if there.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Run the contract kit. Exit 0 when every promise is kept, 1 when one is not, 2 when the kit cannot run."""
    try:
        from fairlead.testing.run import run_checks
    except ModuleNotFoundError as error:
        typer.echo(f"the contract kit needs {error.name}: pip install 'fairlead[test]'", err=True)
        raise typer.Exit(2) from None
    verdicts = run_checks([name] if name else _installed_names(), harness=_harness(name, harness))
    if as_json:
        typer.echo(json.dumps([verdict.as_json() for verdict in verdicts], ensure_ascii=False, indent=2))
    else:
        for verdict in verdicts:
            for line in verdict.lines():
                typer.echo(line)
    if not verdicts or any(verdict.missing for verdict in verdicts):
        raise typer.Exit(1)


@plugin_app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="2 to 40 of a-z, 0-9 and _; the package becomes fairlead_<name>.")],
    kind: Annotated[Kind, typer.Option(help="What the plugin adds.")] = Kind.CHANNEL,
    directory: Annotated[Path, typer.Option("--dir", help="Where the new folder goes.")] = Path(),
) -> None:
    """Write a plugin package whose tests run at once and say what is still missing."""
    from fairlead.errors import DomainError
    from fairlead.plugins.scaffold import new_plugin

    try:
        files = new_plugin(name, kind, directory)
    except DomainError as error:
        typer.echo(f"{error.message}{'; ' + error.next_step if error.next_step else ''}", err=True)
        raise typer.Exit(2) from None
    for file in files:
        typer.echo(str(file))
    typer.echo(f"\nNow: cd {directory / f'fairlead_{name}'} && pip install -e . && pytest")
    typer.echo("The tests say what is missing, one sentence each.")


def _row(status: Any) -> dict[str, Any]:
    things = status.things
    return {
        "name": status.name,
        "kinds": sorted({thing.kind.value for thing in things}),
        "version": things[0].manifest.version if things else "",
        "distribution": status.distribution,
        "distribution_version": status.version,
        "capabilities": sorted({c.value for thing in things for c in thing.manifest.capabilities}),
        "hooks": list(status.hooks),
        "state": status.state,
        "reason": status.reason,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in ("name", "state", "kind", "version", "distribution", "capabilities"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            row["name"],
            row["state"],
            ", ".join(row["kinds"]),
            row["version"],
            f"{row['distribution']} {row['distribution_version']}",
            ", ".join(row["capabilities"]),
        )
    console = Console()
    console.print(table)
    for row in rows:
        if row["reason"]:
            console.print(f"{row['name']} is {row['state']}: {row['reason']}", markup=False, highlight=False)


def _installed_names() -> list[str]:
    from fairlead.plugins.discovery import installed

    return [source.name for source in installed()]


def _harness(name: str, given: str) -> str:
    nearby = Path("tests/twin.py")
    return given or (f"{nearby}:harness" if name and nearby.is_file() else "")
