"""The e-mail channel: what the core calls."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Sequence

from fairlead.plugins import ANYWHERE, Capability, Kind, Manifest, Title
from fairlead.plugins.contracts.channel import (
    ChannelContext,
    Health,
    HealthState,
    InboundOutcome,
    InboundRequest,
    OutgoingMessage,
    SendLimits,
    SendResult,
    SendState,
)
from fairlead.plugins.errors import FixCredentials, PluginError, RetryLater
from fairlead.plugins.sending import not_tried
from fairlead_email.addresses import BadAddress, checked_address, make_token, return_path
from fairlead_email.bounces import read_receipts
from fairlead_email.client import LineLost, SmtpSession, sender_error
from fairlead_email.mapping import NotAMail, id_of, secret_of, to_mail
from fairlead_email.settings import EmailSettings

TOLERANCE_SECONDS = 300
MAX_VAIN_LINES = 3
SIGNATURE_HEADER = "x-fairlead-signature"


class EmailChannel:
    """Sends over one SMTP connection per batch and reads what comes back as raw mails."""

    # SMTP has no key that servers drop repeats by; a Message-ID is only a hint to the receiver's mailbox.
    idempotent = False
    address_kinds: tuple[str, ...] = ("email",)
    manifest = Manifest(
        name="email",
        kind=Kind.CHANNEL,
        version="1.0.0",
        title=Title("电子邮件", "E-mail"),
        description=Title(
            "通过 SMTP 发送邮件，支持一键退订，并处理退信与投诉。",
            "Sends mails over SMTP with one-click unsubscribe, and understands bounces and complaints.",
        ),
        settings=EmailSettings,
        capabilities=frozenset({Capability.MESSAGES, Capability.WEBHOOKS}),
        region=ANYWHERE,
    )

    def check(self, context: ChannelContext) -> Health:
        """Connect, log in and say goodbye. A server that is busy or away is DOWN; what a person must mend is raised."""
        begun = time.monotonic()
        try:
            with SmtpSession(context.settings, context.http) as session:
                session.ping()
        except RetryLater as error:
            return Health(HealthState.DOWN, error.message)
        return Health(HealthState.OK, latency_ms=round((time.monotonic() - begun) * 1000))

    def limits(self, context: ChannelContext) -> SendLimits:
        """As set for the account."""
        settings: EmailSettings = context.settings
        return SendLimits(settings.batch, settings.per_second)

    def send(self, context: ChannelContext, messages: Sequence[OutgoingMessage]) -> Sequence[SendResult]:
        """Send one mail per message over one connection; ``variables`` are not used, texts come ready.

        4xx is RETRY, 5xx REFUSED, a line that breaks after a whole mail UNKNOWN. What stops the account is raised only
        while no mail of the batch has a fate yet; later it leaves the rest NOT_TRIED, and the next batch raises it.
        """
        results: list[SendResult] = []
        vain = 0
        while len(results) < len(messages) and not context.is_time_up():
            try:
                if vain == MAX_VAIN_LINES:
                    raise RetryLater("the mail server breaks off again and again")
                vain += 1
                with SmtpSession(context.settings, context.http) as session:
                    if _send_while_open(context, session, messages, results):
                        vain = 0
            except PluginError as error:
                if not results:
                    raise
                after = error.retry_after if isinstance(error, RetryLater) else None
                return [*results, *not_tried(messages[len(results) :], error.message, after)]
        return [*results, *not_tried(messages[len(results) :])]

    def external_id_of(self, context: ChannelContext, key: str) -> str:
        """The Message-ID, which is made from the key."""
        settings: EmailSettings = context.settings
        return id_of(key, settings)

    def receive(self, context: ChannelContext, request: InboundRequest) -> InboundOutcome:
        """Take one raw mail that came back, signed by the mail server that posts it (see README)."""
        settings: EmailSettings = context.settings
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
        verify(request, secret, context.now().timestamp())
        return InboundOutcome(
            dedupe_id="mail:" + hashlib.sha256(request.body).hexdigest()[:32],
            receipts=read_receipts(request.body, settings, context.now()),
            body=b"{}",
        )


def verify(request: InboundRequest, secret: str, now: float) -> None:
    """Check ``X-Fairlead-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">``; 5 minutes either way.

    Raises :class:`FixCredentials` when it is missing, wrong or old, and when there is no secret to check it with.
    """
    if not secret:
        raise FixCredentials("without webhook_secret no posted mail can be trusted")
    found = re.fullmatch(r"t=(\d{1,12}),v1=([0-9a-f]{64})", request.headers.get(SIGNATURE_HEADER, ""), re.ASCII)
    if not found:
        raise FixCredentials("the posted mail has no readable signature")
    expected = signature(request.body, secret, int(found[1]))
    if not hmac.compare_digest(expected, found[0]):
        raise FixCredentials("the signature of the posted mail is wrong")
    if abs(now - int(found[1])) > TOLERANCE_SECONDS:
        raise FixCredentials("the posted mail was signed more than 5 minutes ago")


def signature(body: bytes, secret: str, at: int) -> str:
    """The value of the signature header for ``body`` posted at ``at`` (unix seconds)."""
    return f"t={at},v1={hmac.new(secret.encode(), b'%d.' % at + body, 'sha256').hexdigest()}"


def _send_while_open(
    context: ChannelContext,
    session: SmtpSession,
    messages: Sequence[OutgoingMessage],
    results: list[SendResult],
) -> int:
    """Add results until all messages have one, the line ends or the time is up; how many mails the server took."""
    taken = 0
    while len(results) < len(messages) and session.is_open and not context.is_time_up():
        result = _send_one(context, session, messages[len(results)])
        if taken and result.state is SendState.RETRY and not session.is_open:
            # A server that ends long conversations: this mail was not taken, and is the first on the next line.
            break
        results.append(result)
        taken += result.state is SendState.SENT
    return taken


def _send_one(context: ChannelContext, session: SmtpSession, message: OutgoingMessage) -> SendResult:
    """The fate of one mail. Raises when the refusal is about the account, not about this mail."""
    settings: EmailSettings = context.settings
    try:
        recipient = checked_address(message.address)
        mail = to_mail(message, recipient, settings, context.now())
    except (BadAddress, NotAMail) as error:
        return SendResult(message.key, SendState.REFUSED, reason=str(error))
    sender = settings.from_address
    if settings.return_path_domain:
        sender = return_path(make_token(message.key, secret_of(settings)), settings.return_path_domain)
    try:
        reply = session.deliver(sender, recipient, mail)
    except LineLost:
        return SendResult(message.key, SendState.RETRY, reason="the mail server broke off before the mail was complete")
    if (problem := sender_error(reply)) is not None:
        raise problem
    external_id = id_of(message.key, settings) if reply.state in (SendState.SENT, SendState.UNKNOWN) else ""
    reason = "" if reply.state is SendState.SENT else reply.reason
    if reply.state is SendState.UNKNOWN:
        reason = "the mail server broke off after the whole mail; it may have been taken"
    return SendResult(message.key, reply.state, external_id=external_id, reason=reason)
