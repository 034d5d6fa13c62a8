"""Signed webhooks to any receiver, by Standard Webhooks."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.plugins import hookimpl
from fairlead.plugins.contracts.notifier import Notifier
from fairlead_webhook.notifier import WebhookNotifier


@hookimpl
def fairlead_register_notifiers(register: Callable[[Notifier], None]) -> None:
    """Register the webhook notifier."""
    register(WebhookNotifier())
