"""A channel whose every answer the test decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from fairlead.channels import service
from fairlead.clients import plugin_sets
from fairlead.plugins import ADDRESS, Capability, Kind, Manifest, Title, hookimpl
from fairlead.plugins.contracts.channel import ChannelContext, Health, HealthState, OrderRecord, Window
from fairlead.runtime import Fairlead


class ShopSettings(BaseModel):
    """Settings with a secret that is renewed."""

    shop: str
    token: SecretStr
    refresh_token: SecretStr = SecretStr("r0")
    endpoint: str = Field("https://shop.example", json_schema_extra=ADDRESS)


@dataclass
class Shop:
    """A channel by script: what it raises or answers is set by the test."""

    manifest: Manifest = field(
        default=Manifest(
            name="shop",
            kind=Kind.CHANNEL,
            version="1.0",
            title=Title("店铺", "Shop"),
            description=Title("测试店铺", "A shop for tests"),
            settings=ShopSettings,
            capabilities=frozenset({Capability.ORDERS, Capability.CREDENTIALS}),
        )
    )
    health: Callable[[ChannelContext], Health] = lambda context: Health(HealthState.OK)
    pages: Callable[[ChannelContext, Window], Iterator[Sequence[OrderRecord]]] = lambda context, window: iter(())
    renew: Callable[[ChannelContext], None] = lambda context: None
    refreshed: int = 0

    def check(self, context: ChannelContext) -> Health:
        return self.health(context)

    def sync_orders(self, context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        return self.pages(context, window)

    def refresh(self, context: ChannelContext) -> None:
        self.refreshed += 1
        self.renew(context)


class ShopPlugin:
    """The plugin around it; also hears events."""

    name = "shop"

    def __init__(self) -> None:
        self.shop = Shop()
        self.events: list[Any] = []

    @hookimpl
    def fairlead_register_channels(self, register: Callable[[Any], None]) -> None:
        register(self.shop)

    @hookimpl
    def fairlead_on_event(self, event: Any) -> None:
        self.events.append(event)


@pytest.fixture
def plugin() -> ShopPlugin:
    """The plugin of the test."""
    return ShopPlugin()


@pytest.fixture
def shop(plugin: ShopPlugin) -> Shop:
    """Its channel."""
    return plugin.shop


@pytest.fixture
def runtime(build_runtime: Callable[..., Fairlead], plugin: ShopPlugin) -> Fairlead:
    """A runtime with the plugin installed."""
    return build_runtime(plugin)


@pytest.fixture
def acme(runtime: Fairlead, agency: Any) -> int:
    """The client ``acme`` with the plugin switched on."""
    with runtime.work(agency.acme) as work:
        plugin_sets.set_plugin(work, runtime.plugins, "shop", True)
    return int(agency.acme)


@pytest.fixture
def account(runtime: Fairlead, acme: int) -> int:
    """A connected account of ``acme``."""
    with runtime.work(acme) as work:
        return service.connect_account(work, "shop", "main", {"shop": "s1", "token": "t0-s3cr3t"}).id
