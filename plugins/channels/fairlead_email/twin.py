"""The replay twin: a mail server that takes mails, writes each as a JSON line, and can fail on purpose.

It is strict about form (line ends, line lengths, ASCII headers, the headers every mail needs, one-click only over
https) and speaks STARTTLS, implicit TLS and AUTH when told to. ``python -m fairlead_email.twin --port 8025 --store
mails.jsonl`` runs it as a mail sink; ``--port 0`` picks a free port, which is printed.

Recipients whose local part is one of these meet a fault::

    tempfail      451 4.3.0 at RCPT            nobody       550 5.1.1 at RCPT
    full          452 4.2.2 at RCPT            policy       550 5.7.1 at RCPT
    late          451 4.3.0 after the mail     spam         550 5.7.1 after the mail
    hangup        the line breaks at RCPT      goodbye      421 4.3.2 at RCPT, then the line ends
    cut-taken     the mail is taken, and the line breaks instead of an answer
    cut-lost      the mail is dropped, and the line breaks instead of an answer

A line of the store: ``{"received_at", "mail_from", "rcpt_to": [...], "message_id", "from", "to", "subject",
"list_unsubscribe", "list_unsubscribe_post", "text", "html", "size"}``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import datetime as dt
import email
import email.policy
import json
import os
import re
import ssl
import sys
import threading
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MAX_SIZE = 10 * 1024 * 1024
AT_RECIPIENT = {
    "tempfail": "451 4.3.0 try again later",
    "full": "452 4.2.2 mailbox full",
    "nobody": "550 5.1.1 no such user",
    "policy": "550 5.7.1 rejected by policy",
    "goodbye": "421 4.3.2 closing",
}
AT_END = {"late": "451 4.3.0 try again later", "spam": "550 5.7.1 rejected by policy"}
HANG_UP, CUT_TAKEN, CUT_LOST = "hangup", "cut-taken", "cut-lost"


class HangUp(Exception):
    """The line is broken on purpose."""


class MailTwin:
    """A mail server on 127.0.0.1; as a context manager it runs in a thread of its own.

    ``certificate`` and ``private_key`` (PEM files) switch on STARTTLS, or with ``implicit_tls`` TLS from the first
    byte. With ``username`` a login is asked for. Mails are kept in :attr:`mails` and, with ``store``, on the disk
    before they are acknowledged. ``mails_per_line`` ends a connection by 421 after so many mails (0: never).
    """

    def __init__(
        self,
        store: Path | None = None,
        *,
        certificate: Path | None = None,
        private_key: Path | None = None,
        implicit_tls: bool = False,
        username: str = "",
        password: str = "",
        mails_per_line: int = 0,
    ) -> None:
        self.mails: list[dict[str, Any]] = []
        self.lines = 0
        self.port = 0
        self.username = username
        self.password = password
        self.mails_per_line = mails_per_line
        self.tls: ssl.SSLContext | None = None
        if certificate is not None:
            self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.tls.load_cert_chain(certificate, private_key)
        self.implicit_tls = implicit_tls
        self._store = store
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def listen(self, port: int = 0) -> asyncio.Server:
        """Open the port; :attr:`port` is then the one in use."""
        server = await asyncio.start_server(
            self._serve, "127.0.0.1", port, limit=65536, ssl=self.tls if self.implicit_tls else None
        )
        self.port = server.sockets[0].getsockname()[1]
        return server

    def __enter__(self) -> Self:
        started = threading.Event()

        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            server = await self.listen()
            started.set()
            try:
                await server.serve_forever()
            except asyncio.CancelledError:
                return

        def work() -> None:
            try:
                asyncio.run(run())
            finally:
                started.set()

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = self._loop
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
            self._thread.join(10)

    def take(self, sender: str, recipients: list[str], raw: bytes) -> None:
        """Keep one mail; when this returns it is safe to acknowledge it."""
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        record = {
            "received_at": dt.datetime.now(dt.UTC).isoformat(),
            "mail_from": sender,
            "rcpt_to": recipients,
            "message_id": str(mail["message-id"] or ""),
            "from": str(mail["from"] or ""),
            "to": str(mail["to"] or ""),
            "subject": str(mail["subject"] or ""),
            "list_unsubscribe": str(mail["list-unsubscribe"] or ""),
            "list_unsubscribe_post": str(mail["list-unsubscribe-post"] or ""),
            "text": _content(text),
            "html": _content(html),
            "size": len(raw),
        }
        if self._store is not None:
            line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            descriptor = os.open(self._store, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(descriptor)
        self.mails.append(record)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        try:
            await _Conversation(self, reader, writer).run()
        except HangUp:
            writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, asyncio.CancelledError):
            # A client that breaks the line or the protocol ends its own conversation only.
            writer.transport.abort()
        finally:
            writer.close()


class _Conversation:
    """One connection: RFC 5321 with STARTTLS (RFC 3207) and AUTH PLAIN and LOGIN (RFC 4954)."""

    def __init__(self, twin: MailTwin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._twin = twin
        self._reader = reader
        self._writer = writer
        self._secure = twin.implicit_tls
        self._known = not twin.username
        self._taken = 0
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        await self._say("220 twin ESMTP")
        while line := await self._reader.readline():
            words = line.decode("ascii", "replace").strip()
            verb, _, rest = words.partition(" ")
            match verb.upper():
                case "EHLO":
                    await self._hello(rest)
                case "HELO" | "NOOP" | "RSET" as said:
                    if said != "NOOP":
                        self._sender, self._recipients = None, []
                    await self._say("250 2.0.0 ok")
                case "STARTTLS" if self._twin.tls is not None and not self._secure:
                    await self._say("220 2.0.0 go ahead")
                    await self._writer.start_tls(self._twin.tls)
                    self._secure = True
                case "AUTH" if self._twin.username and (self._secure or self._twin.tls is None):
                    await self._login(rest)
                case "MAIL" | "RCPT" | "DATA" if not self._known:
                    await self._say("530 5.7.0 authentication required")
                case "MAIL":
                    await self._mail(rest)
                case "RCPT" if self._sender is not None:
                    await self._recipient(rest)
                case "DATA" if self._recipients:
                    await self._data()
                case "QUIT":
                    await self._say("221 2.0.0 bye")
                    return
                case "RCPT" | "DATA":
                    await self._say("503 5.5.1 not now")
                case _:
                    await self._say("500 5.5.2 not understood")

    async def _say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self._writer.drain()

    async def _hello(self, name: str) -> None:
        self._sender, self._recipients = None, []
        extensions = [f"SIZE {MAX_SIZE}", "ENHANCEDSTATUSCODES", "8BITMIME"]
        if self._twin.tls is not None and not self._secure:
            extensions.append("STARTTLS")
        elif self._twin.username:
            extensions.append("AUTH PLAIN LOGIN")
        *first, last = [f"twin greets {name[:100]}", *extensions]
        await self._say(*(f"250-{line}" for line in first), f"250 {last}")

    async def _login(self, rest: str) -> None:
        kind, _, initial = rest.partition(" ")
        if kind.upper() == "PLAIN":
            _, user, password = base64.b64decode(initial or await self._ask("")).decode().split("\0")
        else:
            user = base64.b64decode(initial or await self._ask("Username:")).decode()
            password = base64.b64decode(await self._ask("Password:")).decode()
        self._known = (user, password) == (self._twin.username, self._twin.password)
        await self._say("235 2.7.0 welcome" if self._known else "535 5.7.8 wrong login")

    async def _ask(self, question: str) -> str:
        await self._say(f"334 {base64.b64encode(question.encode()).decode()}")
        return (await self._reader.readline()).decode().strip()

    async def _mail(self, rest: str) -> None:
        if self._twin.mails_per_line and self._taken >= self._twin.mails_per_line:
            await self._say("421 4.7.0 too many mails on this line")
            raise HangUp
        found = re.fullmatch(r"(?i)FROM:<([^<>\s]*)>(?: SIZE=(\d{1,12}))?", rest)
        if found is None:
            await self._say("501 5.5.4 MAIL FROM:<address>")
        elif int(found[2] or 0) > MAX_SIZE:
            await self._say("552 5.3.4 too large")
        else:
            self._sender, self._recipients = found[1], []
            await self._say("250 2.1.0 ok")

    async def _recipient(self, rest: str) -> None:
        found = re.fullmatch(r"(?i)TO:<([^<>\s@]+@[^<>\s@]+)>", rest)
        if found is None:
            await self._say("501 5.1.3 RCPT TO:<address>")
            return
        fault = _fault(found[1])
        if fault == HANG_UP:
            raise HangUp
        answer = AT_RECIPIENT.get(fault, "250 2.1.5 ok")
        if answer.startswith("250"):
            self._recipients.append(found[1])
        await self._say(answer)
        if answer.startswith("421"):
            raise HangUp

    async def _data(self) -> None:
        await self._say("354 end with a dot")
        lines: list[bytes] = []
        size = 0
        while (line := await self._reader.readline()) != b".\r\n":
            if not line or size > MAX_SIZE:
                raise HangUp
            size += len(line)
            lines.append(line.removeprefix(b"."))
        sender, recipients, fault = self._sender or "", self._recipients, _fault(self._recipients[0])
        self._sender, self._recipients = None, []
        raw = b"".join(lines)
        wrong = misformed(raw)
        if fault == CUT_LOST:
            raise HangUp
        if fault in AT_END:
            await self._say(AT_END[fault])
        elif wrong:
            await self._say(f"550 5.6.0 {wrong}")
        else:
            self._twin.take(sender, recipients, raw)
            self._taken += 1
            if fault == CUT_TAKEN:
                raise HangUp
            await self._say("250 2.0.0 taken")


def _content(part: object) -> str:
    return str(part.get_content()).replace("\r\n", "\n") if isinstance(part, EmailMessage) else ""


def _fault(address: str) -> str:
    return address.partition("@")[0].partition("+")[0].lower()


def misformed(raw: bytes) -> str:
    """What strict servers refuse a mail for; empty when it is well formed."""
    if re.search(rb"(?<!\r)\n|\r(?!\n)", raw):
        return "bare line feed or carriage return"
    if any(len(line) > 998 for line in raw.split(b"\r\n")):
        return "line longer than 998 bytes"
    head = raw.partition(b"\r\n\r\n")[0]
    if not head.isascii():
        return "header is not ASCII"
    names = [name.lower() for name in re.findall(rb"(?m)^([!-9;-~]+):", head)]
    for name in (b"from", b"to", b"subject", b"date", b"message-id", b"mime-version"):
        if names.count(name) != 1:
            return f"{name.decode()} must be there once"
    if b"list-unsubscribe-post" in names and b"<https://" not in head:
        return "one click without https"
    return ""


def main() -> None:
    """Run as a mail sink until interrupted."""
    parser = argparse.ArgumentParser(description="A mail server that keeps mails as JSON lines.")
    parser.add_argument("--port", type=int, default=8025)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--private-key", type=Path)
    parser.add_argument("--implicit-tls", action="store_true")
    options = parser.parse_args()
    twin = MailTwin(
        options.store,
        certificate=options.certificate,
        private_key=options.private_key,
        implicit_tls=options.implicit_tls,
    )

    async def run() -> None:
        server = await twin.listen(options.port)
        sys.stdout.write(f"mail twin on 127.0.0.1:{twin.port}\n")
        sys.stdout.flush()
        await server.serve_forever()

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
