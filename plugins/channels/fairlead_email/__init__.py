"""E-mail over SMTP, with one-click unsubscribe and bounces that cannot be forged."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.plugins import hookimpl
from fairlead.plugins.contracts.channel import Channel
from fairlead_email.channel import EmailChannel


@hookimpl
def fairlead_register_channels(register: Callable[[Channel], None]) -> None:
    """Register the e-mail channel."""
    register(EmailChannel())
