"""From an outgoing message to the bytes of a mail (RFC 5322, 2045, 2047, 8058)."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from email.header import Header
from email.headerregistry import HeaderRegistry, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from fairlead.plugins.contracts.channel import OutgoingMessage
from fairlead_email.addresses import make_token, message_id
from fairlead_email.settings import EmailSettings

# RFC 5322 allows 998 bytes in a line; a list header holds two addresses and its name.
_URL = re.compile(r"https?://[!-;=?-~]{1,800}")


class NotAMail(ValueError):
    """This message cannot be written as a mail; the text says why, without quoting it."""


class _Written(UniqueUnstructuredHeader):
    """A header that stands in the mail as it was set.

    The library's own headers decode RFC 2047 words in a value that is set (line breaks in them included), lose blanks
    between encoded words when they fold, and encode long addresses; all three break mails.
    """

    name: str

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        super().parse("", kwds)
        kwds["decoded"] = value

    def fold(self, *, policy: Policy[Any]) -> str:
        # Between encoded words and between addresses in a list are the only places where a line may end.
        text = str(self)
        for before, after in (("?=", "=?"), ("?=", "<"), (">,", "<")):
            text = text.replace(f"{before} {after}", f"{before}{policy.linesep} {after}")
        return f"{self.name}: {text}{policy.linesep}"


_headers = HeaderRegistry()
for _name in ("from", "to", "reply-to", "subject", "message-id", "list-unsubscribe", "list-unsubscribe-post"):
    # The registry makes a header class of the mixin; its stub asks for a whole class.
    _headers.map_to_type(_name, _Written)  # type: ignore[arg-type]
_POLICY = SMTP.clone(cte_type="7bit", header_factory=_headers)


def one_line(text: str) -> str:
    """``text`` on one line without control characters: what a header may hold."""
    flat = "".join(" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text)
    return " ".join(flat.split())


def words(text: str, header: str) -> str:
    """``text`` as a header may hold it: short plain words as they are, everything else as RFC 2047 words."""
    flat = one_line(text)
    if (
        len(flat) <= 70
        and re.fullmatch(r"[A-Za-z0-9 -]*" if header == "From" else r"[ -~]*", flat)
        and "=?" not in flat
    ):
        return flat
    return Header(flat, "utf-8", maxlinelen=75, header_name=header).encode(linesep="")


def secret_of(settings: EmailSettings) -> str | None:
    """The secret that signs tokens, readable."""
    return settings.verp_secret.get_secret_value() if settings.verp_secret else None


def id_of(key: str, settings: EmailSettings) -> str:
    """The Message-ID for a message key: the same for ever, so that receivers can tell a repeat."""
    return message_id(make_token(key, secret_of(settings)), settings.message_id_domain or settings.own_domain)


def to_mail(message: OutgoingMessage, recipient: str, settings: EmailSettings, now: dt.datetime) -> bytes:
    """The mail as bytes with CRLF line ends, ASCII only. ``recipient`` is a checked address.

    Text and HTML together become ``multipart/alternative``. Raises :class:`NotAMail`.
    """
    if not message.text and not message.html:
        raise NotAMail("the mail has no text")
    marketing = message.purpose == "marketing"
    mail = EmailMessage(policy=_POLICY)
    try:
        mail["From"] = f"{words(settings.from_name, 'From')} <{settings.from_address}>".lstrip()
        mail["To"] = recipient
        mail["Subject"] = words(settings.ad_label + message.subject if marketing else message.subject, "Subject")
        mail["Date"] = format_datetime(now.astimezone(dt.UTC))
        mail["Message-ID"] = id_of(message.key, settings)
        if settings.reply_to:
            mail["Reply-To"] = settings.reply_to
        if marketing:
            mail["Precedence"] = "bulk"
        _add_unsubscribe(mail, message, settings)
        if message.text:
            mail.set_content(message.text)
        if message.text and message.html:
            mail.add_alternative(message.html, subtype="html")
        elif message.html:
            mail.set_content(message.html, subtype="html")
        return mail.as_bytes()
    except NotAMail:
        raise
    except (ValueError, LookupError) as error:
        raise NotAMail("the mail cannot be written: a text in it is not valid") from error


def _add_unsubscribe(mail: EmailMessage, message: OutgoingMessage, settings: EmailSettings) -> None:
    url = message.unsubscribe_url
    if url and not _URL.fullmatch(url):
        raise NotAMail("the unsubscribe address is not a web address in ASCII")
    ways = [f"<{url}>"] if url else []
    if settings.unsubscribe_mailto:
        token = make_token(message.key, secret_of(settings))
        ways.append(f"<mailto:{quote(settings.unsubscribe_mailto, safe='@+')}?subject=unsubscribe%20{token}>")
    if ways:
        mail["List-Unsubscribe"] = ", ".join(ways)
    # RFC 8058 promises one click only over https.
    if url.startswith("https://"):
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
