"""The console channel: every message becomes one line of a file, once. For development, demos and crash tests."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.plugins import hookimpl
from fairlead.plugins.contracts.channel import Channel
from fairlead_console.channel import ConsoleChannel


@hookimpl
def fairlead_register_channels(register: Callable[[Channel], None]) -> None:
    """Register the console channel."""
    register(ConsoleChannel())
