"""One SMTP conversation (RFC 5321), from the connection to the fate of each mail.

The one moment that matters is the dot that ends a mail. If the line breaks before it, the server has nothing; if it
breaks after it and before the answer, nobody knows, and the fate of that mail is unknown.
"""

from __future__ import annotations

import contextlib
import enum
import io
import math
import re
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from fairlead.plugins.contracts.channel import SendState
from fairlead.plugins.errors import FixCredentials, FixSettings, PluginError, RetryLater
from fairlead.plugins.http import GuardedClient, open_stream
from fairlead_email.settings import EmailSettings

LONGEST_ANSWER = 64 * 1024
_WORDS = {
    "1.1": "no such mailbox",
    "1.2": "no such domain",
    "1.3": "bad address",
    "2.1": "mailbox disabled",
    "2.2": "mailbox full",
    "3.4": "mail too large",
    "4.4": "no route",
}


class Stage(enum.StrEnum):
    """How far a mail came when the server answered."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"
    END = "end"


class LineLost(Exception):
    """The connection broke before a mail was complete: the server has not taken it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer; ``enhanced`` is its ``x.y.z`` (RFC 3463) or empty. The server's words are dropped: they
    often repeat the address."""

    stage: Stage
    code: int
    enhanced: str = ""

    @property
    def reason(self) -> str:
        """The codes in words."""
        subject = self.enhanced.partition(".")[2]
        words = "refused by policy" if subject.startswith("7.") else _WORDS.get(subject, "")
        return " ".join(filter(None, (str(self.code), self.enhanced, words)))

    @property
    def state(self) -> SendState:
        """What became of the mail. 4xx is temporary, 5xx is for good."""
        if self.stage is Stage.END and 200 <= self.code < 300:
            return SendState.SENT
        if 400 <= self.code < 500:
            return SendState.RETRY
        if 500 <= self.code < 600:
            return SendState.REFUSED
        # A number that means nothing: before the end nothing was taken, at the end it cannot be told.
        return SendState.UNKNOWN if self.stage is Stage.END else SendState.RETRY


class _Answers(io.RawIOBase):
    """What a socket brings, with one time limit and one size for a whole answer, however its lines come in."""

    def __init__(self, line: socket.socket) -> None:
        super().__init__()
        self._line = line
        self._until = math.inf
        self._left = 0

    def begin(self) -> None:
        """An answer is awaited from now on, for as long as the socket's timeout says."""
        self._until = time.monotonic() + (self._line.gettimeout() or math.inf)
        self._left = LONGEST_ANSWER

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        timeout = self._line.gettimeout()
        remaining = self._until - time.monotonic()
        if remaining <= 0 or self._left <= 0:
            raise TimeoutError
        if timeout is not None:
            self._line.settimeout(min(timeout, remaining))
        try:
            count = self._line.recv_into(buffer)
        finally:
            self._line.settimeout(timeout)
        self._left -= count
        return count


class _Smtp(smtplib.SMTP):
    """``smtplib`` with bounded answers: of its own it reads continuation lines for ever."""

    _answers: _Answers | None = None

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self._answers = _Answers(self.sock)
            self.file = io.BufferedReader(self._answers)
        if self._answers is not None:
            self._answers.begin()
        return super().getreply()


class SmtpSession:
    """A logged-in connection; as a context manager it says goodbye at the end. Raises from the ladder on the way in."""

    def __init__(self, settings: EmailSettings, http: Any) -> None:
        self._settings = settings
        self._http = http
        self._smtp = _Smtp(local_hostname=settings.ehlo_name or settings.own_domain)

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._smtp.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._smtp.sock is not None:
                # Nobody waits for the goodbye of a server that may be gone.
                self._smtp.sock.settimeout(2)
                self._smtp.quit()
        except OSError:
            self._smtp.close()

    # -- on the way in ----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        settings = self._settings
        try:
            connection = self._connect()
            connection.settimeout(settings.timeout_seconds)
            self._smtp.sock = connection
            if settings.security == "tls":
                self._wrap()
            code, _ = self._smtp.getreply()
            _expect(code, 220, "the greeting")
            _expect(self._smtp.ehlo()[0], 250, "EHLO")
            if settings.security == "starttls":
                if not self._smtp.has_extn("starttls"):
                    raise FixSettings("the mail server offers no STARTTLS; nothing is sent in the clear")
                _expect(self._smtp.docmd("STARTTLS")[0], 220, "STARTTLS")
                self._wrap()
                _expect(self._smtp.ehlo()[0], 250, "EHLO")
            if settings.username:
                self._smtp.login(settings.username, settings.password.get_secret_value())
        except smtplib.SMTPAuthenticationError as error:
            number = str(error.smtp_code)
            if number.startswith("4"):
                raise RetryLater(f"the mail server cannot check logins now ({number})", code=number) from error
            raise FixCredentials(f"the mail server refuses the login ({number})", code=number) from error
        except (smtplib.SMTPServerDisconnected, smtplib.SMTPResponseException) as error:
            raise RetryLater("the mail server broke off the conversation") from error
        except (smtplib.SMTPException, UnicodeEncodeError) as error:
            raise FixSettings("the mail server offers no kind of login that is known here") from error
        except ssl.SSLCertVerificationError as error:
            raise FixSettings("the certificate of the mail server is not accepted") from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise RetryLater("the mail server broke off the start of TLS") from error
        except ssl.SSLError as error:
            raise FixSettings("the mail server does not speak TLS here; check port and security") from error
        except OSError as error:
            raise RetryLater("the mail server cannot be reached") from error

    def _connect(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        if isinstance(self._http, GuardedClient):
            return self._http.connect(host, port)
        stream = open_stream(host, port, timeout=self._settings.timeout_seconds)
        connection: socket.socket = stream.get_extra_info("socket")
        return connection

    def _wrap(self) -> None:
        """Put TLS on the line and forget what was said before it, so that nothing injected in the clear is obeyed."""
        tls = ssl.create_default_context()
        if self._settings.ca_pem:
            try:
                tls.load_verify_locations(cadata=self._settings.ca_pem)
            except (ssl.SSLError, ValueError) as error:
                raise FixSettings("ca_pem holds no readable certificate") from error
        connection = self._smtp.sock
        if connection is None:
            raise smtplib.SMTPServerDisconnected("no line")
        self._smtp.sock = tls.wrap_socket(connection, server_hostname=self._settings.host)
        self._smtp.file = None
        self._smtp.ehlo_resp = self._smtp.helo_resp = None
        self._smtp.esmtp_features = {}
        self._smtp.does_esmtp = False

    # -- mails ------------------------------------------------------------------------------------------------------

    def deliver(self, sender: str, recipient: str, mail: bytes) -> Reply:
        """Hand over one mail (CRLF line ends) and return the answer that decided its fate.

        Raises :class:`LineLost` when the line broke and the server surely has nothing. A line that breaks after the
        mail was complete is no exception but a reply without a meaning: unknown.
        """
        size = f" SIZE={len(mail)}" if self._smtp.has_extn("size") else ""
        body = re.sub(rb"(?m)^\.", b"..", mail)
        try:
            for stage, command, good in (
                (Stage.SENDER, f"MAIL FROM:<{sender}>{size}", 2),
                (Stage.RECIPIENT, f"RCPT TO:<{recipient}>", 2),
                (Stage.DATA, "DATA", 3),
            ):
                reply = self._command(stage, command)
                if reply.code // 100 != good:
                    if reply.code == 421:
                        self._smtp.close()
                    else:
                        self._reset()
                    return reply
            self._smtp.send(body if body.endswith(b"\r\n") else body + b"\r\n")
            if self._smtp.sock is not None:
                self._smtp.sock.settimeout(self._settings.final_timeout_seconds)
        except OSError as error:
            self._smtp.close()
            raise LineLost from error
        try:
            self._smtp.send(b".\r\n")
            reply = _reply(Stage.END, *self._smtp.getreply())
            if reply.code == 421:
                self._smtp.close()
            elif self._smtp.sock is not None:
                self._smtp.sock.settimeout(self._settings.timeout_seconds)
            return reply
        except OSError:
            self._smtp.close()
            return Reply(Stage.END, 0)

    @property
    def is_open(self) -> bool:
        """Whether the line still stands."""
        return self._smtp.sock is not None

    def ping(self) -> None:
        """Say something that changes nothing. Raises :class:`RetryLater` when the server does not answer well."""
        try:
            _expect(self._smtp.noop()[0], 250, "NOOP")
        except OSError as error:
            raise RetryLater("the mail server broke off the conversation") from error

    def _reset(self) -> None:
        # The mail's fate is decided; a line that breaks here only needs a new one.
        with contextlib.suppress(OSError):
            self._smtp.docmd("RSET")

    def _command(self, stage: Stage, command: str) -> Reply:
        return _reply(stage, *self._smtp.docmd(command))


def sender_error(reply: Reply) -> PluginError | None:
    """What a refusal means for the whole account: the sender was refused, or a login is asked for."""
    code = str(reply.code)
    if reply.stage in (Stage.SENDER, Stage.RECIPIENT) and reply.code in (530, 535):
        return FixCredentials(f"the mail server asks for a login ({reply.reason})", code=code)
    too_large = reply.code == 552 or reply.enhanced == "5.3.4"
    if reply.stage is Stage.SENDER and reply.state is SendState.REFUSED and not too_large:
        return FixSettings(f"the mail server refuses the sender ({reply.reason})", code=code)
    return None


def _reply(stage: Stage, code: int, text: bytes) -> Reply:
    found = re.match(rb"([245]\.\d{1,3}\.\d{1,3})\b", text)
    return Reply(stage, code, found[1].decode() if found else "")


def _expect(code: int, wanted: int, what: str) -> None:
    if code == wanted:
        return
    if 500 <= code < 600:
        raise FixSettings(f"the mail server refuses {what} ({code})", code=str(code))
    raise RetryLater(f"the mail server answers {what} with {code}", code=str(code))
