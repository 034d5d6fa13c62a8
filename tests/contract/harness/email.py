"""What the contract kit needs to exercise the e-mail channel."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from fairlead.plugins.contracts.channel import ChannelContext, InboundRequest
from fairlead.plugins.http import guarded_client
from fairlead.testing import ChannelHarness, FakeClock, fake_context
from fairlead.testing.harness import sample_messages
from fairlead_email.addresses import make_token, return_path
from fairlead_email.channel import signature
from fairlead_email.mapping import id_of
from fairlead_email.settings import EmailSettings
from fairlead_email.twin import MailTwin

SECRETS = {"verp_secret": "kit-verp-secret", "webhook_secret": "kit-webhook-secret"}


def settings(port: int, **changes: Any) -> EmailSettings:
    """Settings of an account at a twin in the clear."""
    base: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "allow_unencrypted": True,
        "from_address": "news@shop.example",
        "return_path_domain": "bounce.shop.example",
        "timeout_seconds": 2,
        **SECRETS,
    }
    return EmailSettings.model_validate({**base, **changes})


def bounce(at: int) -> InboundRequest:
    """A bounce of the kit's first message, posted as the README says."""
    to = return_path(make_token("kit-1", SECRETS["verp_secret"]), "bounce.shop.example")
    body = (
        f"To: {to}\nContent-Type: multipart/report; report-type=delivery-status; boundary=B\n\n"
        "--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n"
        "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n\n--B--\n"
    ).encode()
    headers = {"x-fairlead-signature": signature(body, SECRETS["webhook_secret"], at)}
    return InboundRequest("POST", "/hooks/email", {}, headers, body)


@contextmanager
def harness() -> Iterator[ChannelHarness]:
    """A mail twin for each check; the faults are servers that are away, silent, or refuse the account."""
    with ExitStack() as open_things:
        enter = open_things.enter_context
        twin, locked = enter(MailTwin()), enter(MailTwin(username="shop", password="kit-password"))
        silent = enter(socket.create_server(("127.0.0.1", 0)))
        with socket.create_server(("127.0.0.1", 0)) as unused:
            closed_port = unused.getsockname()[1]
        clock = FakeClock()
        http = enter(guarded_client(allow_hosts={"127.0.0.1"}))
        context = fake_context(settings(twin.port), http=http, clock=clock)
        keys = {id_of(message.key, context.settings): message.key for message in sample_messages()}

        def failing() -> list[tuple[str, ChannelContext]]:
            accounts = {
                "nobody answers": settings(closed_port),
                "the server says nothing": settings(silent.getsockname()[1], timeout_seconds=0.2),
                "no STARTTLS": settings(twin.port, security="starttls", username="shop", password="kit-password"),
                "no TLS": settings(twin.port, security="tls"),
                "a login is asked for": settings(locked.port),
            }
            return [(why, replace(context, settings=made)) for why, made in accounts.items()]

        yield ChannelHarness(
            context,
            delivered=lambda: [keys[mail["message_id"]] for mail in twin.mails],
            genuine=bounce(int(clock().timestamp())),
            failing=failing,
        )
