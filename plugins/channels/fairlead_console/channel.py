"""The channel that writes instead of sending."""

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
    SendState,
)
from fairlead_console.client import MessageFile, message_file
from fairlead_console.mapping import external_id, to_line
from fairlead_console.place import resolve
from fairlead_console.settings import ConsoleSettings

DEFAULT_ADDRESS_KINDS = ("email", "phone", "taobao_user", "member")


class ConsoleChannel:
    """Writes each message once, whoever repeats it, and answers like a platform that drops repeated keys.

    ``address_kinds`` are the identity kinds it pretends to reach, best first.
    """

    idempotent = True
    manifest = Manifest(
        name="console",
        kind=Kind.CHANNEL,
        version="1.0.0",
        title=Title("控制台", "Console"),
        description=Title(
            "把每条消息写入一个文件，不真正发送；用于开发、演示与故障测试。",
            "Writes every message to a file instead of sending it, for development, demos and crash tests.",
        ),
        settings=ConsoleSettings,
        capabilities=frozenset({Capability.MESSAGES}),
    )

    def __init__(self, address_kinds: Sequence[str] = DEFAULT_ADDRESS_KINDS) -> None:
        self.address_kinds: tuple[str, ...] = tuple(address_kinds)

    def check(self, context: ChannelContext) -> Health:
        """Open the file as a send would. Raises ``FixSettings`` when that fails."""
        _file(context).probe()
        return Health(HealthState.OK)

    def limits(self, context: ChannelContext) -> SendLimits:
        """A file takes more than any platform."""
        return SendLimits(batch=1000, per_second=10_000.0)

    def send(self, context: ChannelContext, messages: Sequence[OutgoingMessage]) -> Sequence[SendResult]:
        """Write the new ones of ``messages`` and answer SENT for all; a repeated key gets the same external id."""
        now = context.now()
        lines = [
            (external_id(message.key), to_line(message, client=context.client, account=context.account, now=now))
            for message in messages
        ]
        _file(context).append_new(lines)
        return [
            SendResult(message.key, SendState.SENT, external_id=name)
            for message, (name, _) in zip(messages, lines, strict=True)
        ]


def _file(context: ChannelContext) -> MessageFile:
    settings: ConsoleSettings = context.settings
    return message_file(resolve(settings.path, context.client))
