"""Feishu and Lark groups by a custom bot: notices for staff, signed."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.plugins import hookimpl
from fairlead.plugins.contracts.notifier import Notifier
from fairlead_feishu.notifier import FeishuNotifier


@hookimpl
def fairlead_register_notifiers(register: Callable[[Notifier], None]) -> None:
    """Register the Feishu notifier."""
    register(FeishuNotifier())
