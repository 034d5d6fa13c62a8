"""The schema as text: what ``schema.graphql`` holds.

Types are sorted by name and fields stand as they are declared, so the same code gives the same text on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fairlead_graphql.plugin_fields import plugin_targets
from fairlead_graphql.schema import build_schema


def text() -> str:
    """The schema of the core alone: what plugins add differs from installation to installation."""
    with _core_only():
        return build_schema().as_str() + "\n"


@contextmanager
def _core_only() -> Iterator[None]:
    """Take the fields that plugins added in this process away for a while. Not for a process that serves."""
    kept = [(target, list(target.fields)) for target in plugin_targets().values()]
    try:
        for target, fields in kept:
            target.fields[:] = [field for field in fields if not hasattr(field, "fairlead_plugin")]
        yield
    finally:
        for target, fields in kept:
            target.fields[:] = fields
