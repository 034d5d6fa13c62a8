"""What replay twins of HTTP platforms share: being served on this machine while a test or a person uses them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

Reply = tuple[int, Mapping[str, str], bytes]
"""Status, headers beside ``content-length``, and body."""


class HttpTwin(ABC):
    """A stand-in for a platform; a subclass answers by :meth:`reply`. As a context manager it is served meanwhile."""

    _server: ThreadingHTTPServer | None = None

    @abstractmethod
    def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one POST; header names are lower case. Called from several threads at once."""

    def start(self, port: int = 0) -> int:
        """Serve on 127.0.0.1 in a thread; the answer is the port."""
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self.port

    @property
    def port(self) -> int:
        """Where it is served. Raises :class:`RuntimeError` before it is."""
        if self._server is None:
            raise RuntimeError("the twin is not started")
        return int(self._server.server_address[1])

    @property
    def origin(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _handler(twin: HttpTwin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            sent = self.rfile.read(int(headers.get("content-length", "0")))
            status, more, body = twin.reply(self.path, headers, sent)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: paths and request lines may hold tokens."""

    return Handler
