"""The Taobao channel: what the core calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from fairlead.plugins import Capability, Kind, Manifest, Title
from fairlead.plugins.contracts.channel import (
    ChannelContext,
    Health,
    HealthState,
    InboundOutcome,
    InboundRequest,
    OrderRecord,
    Window,
)
from fairlead.plugins.errors import RetryLater
from fairlead_taobao.client import call, renew_token, verify_spi
from fairlead_taobao.mapping import BadTrade, finished_refunds, lines_of, to_order
from fairlead_taobao.orders import read_orders
from fairlead_taobao.settings import TaobaoSettings


class TaobaoChannel:
    """Orders, token renewal and callbacks of a Taobao or Tmall shop."""

    manifest = Manifest(
        name="taobao",
        kind=Kind.CHANNEL,
        version="1.0.0",
        title=Title("淘宝 / 天猫", "Taobao / Tmall"),
        description=Title(
            "通过淘宝开放平台同步店铺订单，自动续期授权，并校验平台回调。",
            "Reads a shop's orders from the Taobao Open Platform, renews its token and verifies callbacks.",
        ),
        settings=TaobaoSettings,
        capabilities=frozenset({Capability.ORDERS, Capability.CREDENTIALS, Capability.WEBHOOKS}),
        region="CN",
    )

    def check(self, context: ChannelContext) -> Health:
        """Ask for the shop's id. A busy platform is DEGRADED; everything a person must mend is raised."""
        try:
            call(context, "taobao.shop.seller.get", {"fields": "sid"})
        except RetryLater as error:
            return Health(HealthState.DEGRADED, error.message)
        return Health(HealthState.OK)

    def sync_orders(self, context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
        """Yield pages of the orders changed in ``window`` and a little before, each state once."""
        return read_orders(context, window)

    def refresh(self, context: ChannelContext) -> None:
        """Renew the token. The new tokens are stored before this returns: the old refresh token is spent by then."""
        context.save_settings(renew_token(context))

    def receive(self, context: ChannelContext, request: InboundRequest) -> InboundOutcome:
        """Verify a callback (SPI); a whole trade in its body becomes an order, anything else is acknowledged."""
        settings: TaobaoSettings = context.settings
        signature = verify_spi(request, settings.app_secret.get_secret_value(), context.now())
        return InboundOutcome(
            dedupe_id=f"spi:{signature}",
            orders=_orders_in(request.body, settings),
            body=settings.webhook_reply.encode(),
        )


def _orders_in(body: bytes, settings: TaobaoSettings) -> Sequence[OrderRecord]:
    """The trade in a callback, if it is whole; what would need further calls is left to the next sync."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if isinstance(found, dict):
        found = found.get("trade_fullinfo_get_response", found)
    trade = found.get("trade") if isinstance(found, dict) else None
    if not isinstance(trade, dict) or lines_of(trade) is None:
        return ()
    try:
        if settings.fetch_refunds and finished_refunds(trade):
            return ()
        return (to_order(trade, app_key=settings.app_key),)
    except BadTrade:
        return ()
