"""Around every call of a plugin's scoring or rule code: a stranger's exception never crosses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.plugins.errors import Abort, PluginError


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Let errors of the ladder pass and turn anything else into ``Abort``, without its text, which may hold data."""
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise Abort(f"{what} failed with {type(error).__name__}") from error
