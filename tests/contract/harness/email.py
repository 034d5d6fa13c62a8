"""The e-mail channel at a mail server on this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from fairlead.plugins.contracts.channel import ChannelContext, InboundRequest
from fairlead.plugins.http import guarded_client
from fairlead.testing import ChannelHarness, FakeClock, fake_context
from fairlead.testing.harness import sample_messages
from fairlead_email.channel import SIGNATURE_HEADER, signature
from fairlead_email.mapping import id_of
from fairlead_email.settings import EmailSettings
from fairlead_email.twin import MailTwin

HOOK = "hook-secret-77aa10"
MAIL = b"From: a@example.com\r\nTo: news@shop.example\r\nSubject: hello\r\n\r\nhello\r\n"


@contextmanager
def harness() -> Iterator[ChannelHarness]:
    """An account at a fresh server, and one at a port where nobody listens."""
    clock, messages = FakeClock(), sample_messages()
    with MailTwin() as twin, guarded_client(allow_hosts={"127.0.0.1"}) as http:
        settings = _settings(twin.port)
        keys = {id_of(message.key, settings): message.key for message in messages}
        context = fake_context(settings, http=http, clock=clock)
        stamp = int(clock.now.timestamp())

        def failing() -> Iterable[tuple[str, ChannelContext]]:
            yield "nobody answers", replace(context, settings=_settings(_closed_port()))
            yield "a private address", replace(context, http=guarded_client())

        yield ChannelHarness(
            context,
            messages=messages,
            delivered=lambda: [keys[mail["message_id"]] for mail in twin.mails],
            genuine=InboundRequest("POST", "/", {}, {SIGNATURE_HEADER: signature(MAIL, HOOK, stamp)}, MAIL),
            failing=failing,
        )


def _settings(port: int) -> EmailSettings:
    return EmailSettings.model_validate(
        {
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "allow_unencrypted": True,
            "from_address": "news@shop.example",
            "webhook_secret": HOOK,
            "timeout_seconds": 5,
        }
    )


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
