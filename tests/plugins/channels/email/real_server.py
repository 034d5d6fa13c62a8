"""A real SMTP server (aiosmtpd) in a process of its own, with faults by recipient. Prints its port.

``python real_server.py STORE [--tls starttls|tls] [--certificate F] [--private-key F] [--login USER PASSWORD]``; each
mail taken is one JSON line ``{"sender", "recipients", "raw", "line"}`` in STORE, ``line`` naming the connection.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult


class Keep:
    """Takes mails, or fails as the recipient's name says."""

    def __init__(self, store: Path) -> None:
        self._store = store

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        name = address.partition("@")[0]
        if name == "hangup":
            server.transport.abort()
            return "250 never seen"
        if name in ("451", "550", "530"):
            return f"{name} 5.1.1 about {address}" if name == "550" else f"{name} about {address}"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        name = envelope.rcpt_tos[0].partition("@")[0]
        if name == "late451":
            return "451 4.3.0 later"
        if name == "late550":
            return "550 5.7.1 spam"
        if name != "cutlost":
            record = {
                "sender": envelope.mail_from,
                "recipients": envelope.rcpt_tos,
                "raw": envelope.content.decode("ascii"),
                "line": session.peer[1],
            }
            with self._store.open("a") as file:
                file.write(json.dumps(record) + "\n")
        if name in ("cuttaken", "cutlost"):
            server.transport.abort()
        return "250 2.0.0 taken"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--tls", choices=["starttls", "tls"])
    parser.add_argument("--certificate")
    parser.add_argument("--private-key")
    parser.add_argument("--login", nargs=2)
    options = parser.parse_args()
    context = None
    if options.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.private_key)

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        known = [data.login.decode(), data.password.decode()] == options.login
        return AuthResult(success=known, handled=False)

    def protocol() -> SMTP:
        return SMTP(
            Keep(options.store),
            tls_context=context if options.tls == "starttls" else None,
            require_starttls=options.tls == "starttls",
            authenticator=check if options.login else None,
            auth_required=bool(options.login),
            auth_require_tls=options.tls == "starttls",
        )

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if options.tls == "tls" else None)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
