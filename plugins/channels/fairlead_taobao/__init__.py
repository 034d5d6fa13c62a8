"""Taobao and Tmall shops by the Taobao Open Platform (TOP): orders, token refresh, verified callbacks."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.plugins import hookimpl
from fairlead.plugins.contracts.channel import Channel
from fairlead_taobao.channel import TaobaoChannel


@hookimpl
def fairlead_register_channels(register: Callable[[Channel], None]) -> None:
    """Register the Taobao channel."""
    register(TaobaoChannel())
