"""The command line as installed, on a clock that a test moves: ``moved_clock.py FILE WORD…``.

Time passes as it does, but the domain's clock is ahead of it by the seconds that stand in ``FILE``. The background
engine keeps real time. The demonstration moves its clock the same way, with ``open_runtime(clock=…)``.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Callable
from pathlib import Path

from fairlead.runtime import open_runtime
from fairlead.work import utc_now


def clock_of(file: Path) -> Callable[[], dt.datetime]:
    """The clock that ``file`` moves."""
    return lambda: utc_now() + dt.timedelta(seconds=float(file.read_text("ascii")))


def set_clock(file: Path, now: dt.datetime) -> None:
    """Let the clock stand at ``now``, and go on from there."""
    seconds = round((now - utc_now()).total_seconds())
    fresh = file.with_suffix(".new")
    fresh.write_text(str(seconds), "ascii")
    os.replace(fresh, file)


def move_clock(file: Path, **span: float) -> None:
    """Move the clock on by a ``timedelta``."""
    set_clock(file, clock_of(file)() + dt.timedelta(**span))


if __name__ == "__main__":
    moved = clock_of(Path(sys.argv.pop(1)))
    assert open_runtime.__kwdefaults__ is not None
    open_runtime.__kwdefaults__["clock"] = moved
    from fairlead.cli import app

    app()
