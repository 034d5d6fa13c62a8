"""The loyalty card as a channel: a note that shows on the member's card."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.plugins import Capability, Kind, Manifest, Title
from fairlead.plugins.contracts.channel import (
    ChannelContext,
    Health,
    HealthState,
    OutgoingMessage,
    SendLimits,
    SendResult,
)
from fairlead.plugins.sending import send_one_by_one
from fairlead_acme_loyalty import client
from fairlead_acme_loyalty.settings import CardSettings


class AcmeCard:
    """Acme drops a repeated key, so a message whose outcome is unknown may be sent again."""

    idempotent = True
    address_kinds = ("acme_card",)
    manifest = Manifest(
        name="acme_card",
        kind=Kind.CHANNEL,
        version="0.1.0",
        title=Title("会员卡消息", "Loyalty card"),
        description=Title("在会员卡上显示消息", "Shows a note on the member's loyalty card"),
        settings=CardSettings,
        capabilities=frozenset({Capability.MESSAGES}),
        region="CN",
    )

    def check(self, context: ChannelContext) -> Health:
        """Ask for the programme."""
        answer = client.call(context, "GET", "/programme")
        active = answer.get("state") == "active"
        return Health(HealthState.OK if active else HealthState.DEGRADED)

    def limits(self, context: ChannelContext) -> SendLimits:
        """What Acme's manual allows."""
        return SendLimits(batch=50, per_second=20.0)

    def send(self, context: ChannelContext, messages: Sequence[OutgoingMessage]) -> Sequence[SendResult]:
        """Acme takes one note per call."""
        return send_one_by_one(context, messages, lambda message: client.put_note(context, message))
