"""The command ``fairlead``: one module per group of commands, put together here.

Nothing of the API package is imported by name: it is called through :mod:`importlib`, since the core knows no GraphQL.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

from fairlead import __version__, cli_access, cli_keys, cli_server
from fairlead.cli_output import Failure, Json, emit, guarded, progress, runtime, show

app = typer.Typer(
    name="fairlead",
    help="A plugin-based headless marketing core with one GraphQL API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fairlead {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """A plugin-based headless marketing core with one GraphQL API."""


def api(module: str, function: str) -> Any:
    """A function of the API package or of the demonstration, found when it is called."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise Failure(f"{module} is not installed here", "install the whole distribution `fairlead`")
    return getattr(importlib.import_module(module), function)


@app.command()
@guarded
def schema(
    path: Annotated[Path, typer.Argument(help="The file with the schema.")] = Path("schema.graphql"),
    check: Annotated[bool, typer.Option("--check", help="Only say whether the file is current; 1 if not.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the file.")] = False,
) -> None:
    """Print the GraphQL schema, or compare it with the committed file, or write that file."""
    text: str = api("fairlead_graphql.schema", "sdl")()
    if check:
        if not path.is_file() or path.read_text("utf-8") != text:
            raise Failure(
                f"{path} is not what the code says", f"run `fairlead schema --write {path}` and commit the file"
            )
        typer.echo(f"{path} is current")
    elif write:
        path.write_text(text, "utf-8")
        typer.echo(f"wrote {path}")
    else:
        typer.echo(text, nl=False)


@app.command()
@guarded
def docs(
    write: Annotated[bool, typer.Option("--write", help="Write the files.")] = False,
    folder: Annotated[Path, typer.Option("--folder", help="Where the documents are.")] = Path("docs"),
) -> None:
    """Write the documents that are made from the code: reference pages and the answers in the cookbook."""
    for written in api("fairlead_graphql.docs", "write")(folder, write=write):
        typer.echo(str(written))


@app.command()
@guarded
def demo(
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the API afterwards, until Ctrl-C.")] = True,
    as_json: Json = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with the public data sets; without it a sample is generated.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option("--database-url", help="Database to use instead of a fresh file.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to serve on.")] = 8000,
) -> None:
    """Show the main job on sample data: import, one customer per person, segment, journey, attribution."""
    code = api("fairlead.demo.run", "main")(
        serve=serve, as_json=as_json, data=data, database_url=database_url, port=port
    )
    raise typer.Exit(code or 0)


@app.command("import")
@guarded
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The file with the rows.")],
    client: Annotated[str, typer.Option("--client", help="Slug of the client.")],
    mapping: Annotated[
        str | None,
        typer.Option(
            "--mapping",
            help="Name of a saved mapping, or a JSON file with one; "
            "without it, the client's importers are asked who knows the columns.",
        ),
    ] = None,
    save_as: Annotated[str, typer.Option("--save-as", help="Keep the mapping under this name.")] = "",
    rejects: Annotated[
        Path | None, typer.Option("--rejects", dir_okay=False, help="Write line, column and reason of rejected rows.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring a file of facts in; rows that cannot be taken are reported with line and reason."""
    take = api("fairlead.customers.imports", "import_file")
    with runtime() as opened, progress(f"importing {file.name}") as bar:
        result = take(opened, client, file, mapping, bar, save_as=save_as)
        if rejects is not None:
            api("fairlead.cli_import", "write_rejects")(opened, client, result.import_id, rejects)
    row = result if isinstance(result, dict) else {name: getattr(result, name) for name in _public(result)}
    if as_json:
        emit(row)
    else:
        show([row], False, title=f"imported {file.name}")


def _public(result: Any) -> list[str]:
    names = getattr(result, "__slots__", None) or vars(result)
    return [name for name in names if not name.startswith("_")]


cli_server.add_to(app)
app.add_typer(cli_access.client_app, name="client")
app.add_typer(cli_access.member_app, name="member")
app.add_typer(cli_access.token_app, name="token")
app.add_typer(cli_keys.keys_app, name="keys")
app.add_typer(cli_keys.audit_app, name="audit")

if importlib.util.find_spec("fairlead.cli_plugin") is not None:
    app.add_typer(importlib.import_module("fairlead.cli_plugin").plugin_app, name="plugin")


if __name__ == "__main__":
    app()
