"""What the commands share: the runtime, what goes to which stream, and how an error ends a command.

Standard output holds results only (with ``--json`` one JSON document and nothing else); progress, hints and errors go
to standard error. Exit codes: 0 done, 1 refused or found wrong, 2 used wrongly.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar

import orjson
import pydantic
import sqlalchemy as sa
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fairlead.errors import DomainError, Refusals
from fairlead.governance.permissions import System
from fairlead.observability.logging import configure_logging
from fairlead.plugins.errors import PluginError
from fairlead.plugins.manager import PluginFailed
from fairlead.plugins.registry import PluginClash
from fairlead.runtime import Fairlead, open_runtime
from fairlead.settings import Settings
from fairlead.storage.crypto import KeyProblem

P = ParamSpec("P")
R = TypeVar("R")

OPERATOR = System("cli")
DONE, WRONG, MISUSED = 0, 1, 2

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


class Failure(Exception):
    """Ends a command with a sentence, the next step and an exit code."""

    def __init__(self, message: str, next_step: str = "", code: int = WRONG) -> None:
        super().__init__(message)
        self.message, self.next_step, self.code = message, next_step, code


def stderr() -> Console:
    """The console for everything that is no result."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """A command whose known errors end in a sentence and an exit code instead of a stack trace."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Failure as failure:
            fail(failure.message, failure.next_step, failure.code)
        except Refusals as refusals:
            for error in refusals.errors:
                tell(_place(error), error.next_step)
            raise typer.Exit(WRONG) from None
        except DomainError as error:
            fail(_place(error), error.next_step)
        except PluginError as error:
            fail(error.message, "fix the account or try again later")
        except KeyProblem as error:
            fail(str(error))
        except (PluginClash, PluginFailed) as error:
            fail(str(error))
        except pydantic.ValidationError as error:
            for item in error.errors(include_input=False, include_url=False, include_context=False):
                tell(f"FAIRLEAD_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}")
            raise typer.Exit(MISUSED) from None
        except sa.exc.OperationalError as error:
            missing = "no such table" in str(error.orig)
            text = "the database is not set up" if missing else "the database does not answer"
            fail(text, "run `fairlead migrate`" if missing else "check FAIRLEAD_DATABASE_URL and that the server runs")
        except sa.exc.ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) in ("42P01", "42704", "22023"):
                fail("the database is not set up", "run `fairlead migrate`")
            raise

    return run


def tell(message: str, next_step: str = "") -> None:
    """Write an error or a hint to standard error."""
    console = stderr()
    console.print(f"error: {message}", style="red", markup=False)
    if next_step:
        console.print(f"  next: {next_step}", markup=False)


def fail(message: str, next_step: str = "", code: int = WRONG) -> NoReturn:
    """Write the error and end the command."""
    tell(message, next_step)
    raise typer.Exit(code) from None


@contextmanager
def runtime(settings: Settings | None = None) -> Iterator[Fairlead]:
    """The runtime for one command, closed at its end."""
    settings = settings or Settings()
    configure_logging("warning" if settings.log_level == "info" else settings.log_level, json=False)
    with open_runtime(settings) as opened:
        yield opened


def emit(data: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")


def show(rows: Sequence[dict[str, Any]], as_json: bool, *, title: str, columns: Iterable[str] = ()) -> None:
    """Rows as a table for people, or as a JSON list."""
    if as_json:
        emit(rows)
        return
    names = list(columns) or (list(rows[0]) if rows else [])
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    Console(highlight=False).print(table)


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on standard error; call it with the count done and, when known, the total."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task(title, total=total)

        def update(done: int, of: int | None = None) -> None:
            bar.update(task, completed=done, total=of if of is not None else total)

        yield update


def _place(error: DomainError) -> str:
    return f"{'.'.join(map(str, error.path))}: {error.message}" if error.path else error.message


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value))
    return str(value)
