"""The replay twin: a receiver that checks Standard Webhooks to the letter.

It checks the three headers, the clock (5 minutes both ways), the signature over the raw bytes with any of its secrets,
and drops repeated ids. Run it with ``python -m fairlead_webhook.twin --port 8602 --secret whsec_...``.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import hashlib
import hmac
import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from fairlead.testing.http_twin import HttpTwin, Reply
from fairlead_webhook.settings import WebhookSettings

TOLERANCE_SECONDS = 300

Answer = tuple[int, dict[str, str]]


class WebhookTwin(HttpTwin):
    """A receiver in one object; use it as a context manager to have it served on 127.0.0.1.

    ``now`` is its clock and ``secret`` what it checks with. ``answers`` are ``(status, headers)`` to give to the next
    valid requests instead of taking them. ``taken`` holds the payloads in order, ``repeats`` the ids that came again.
    """

    def __init__(self, *, now: Callable[[], dt.datetime], secret: str) -> None:
        self.now = now
        self.secret = secret
        self.answers: deque[Answer] = deque()
        self.taken: dict[str, Any] = {}
        self.repeats: list[str] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"{self.origin}/hooks/fairlead"

    def settings(self, **changes: Any) -> WebhookSettings:
        """Settings that fit this twin."""
        return WebhookSettings.model_validate({"url": self.url, "secret": self.secret, **changes})

    def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """As a receiver answers: status and headers say everything."""
        return *self.receive(headers, body), b""

    def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request; header names are lower case."""
        with self._lock:
            if not self._is_genuine(headers, body):
                return 401, {}
            if self.answers:
                return self.answers.popleft()
            identifier = headers["webhook-id"]
            if identifier in self.taken:
                self.repeats.append(identifier)
            else:
                self.taken[identifier] = json.loads(body)
            return 204, {}

    def _is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        identifier, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not identifier or "." in identifier or not stamp.isdecimal():
            return False
        if abs(self.now().timestamp() - int(stamp)) > TOLERANCE_SECONDS:
            return False
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        wanted = hmac.new(key, b".".join((identifier.encode(), stamp.encode(), body)), hashlib.sha256).digest()
        offered = [item.partition(",") for item in headers.get("webhook-signature", "").split(" ")]
        # All are compared, so that the time taken does not tell which one fitted.
        matches = [
            hmac.compare_digest(base64.b64encode(wanted), text.encode())
            for version, _, text in offered
            if version == "v1"
        ]
        return any(matches)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A local receiver of Standard Webhooks.")
    parser.add_argument("--port", type=int, default=8602)
    parser.add_argument("--secret", required=True)
    arguments = parser.parse_args()
    twin = WebhookTwin(now=lambda: dt.datetime.now(dt.UTC), secret=arguments.secret)
    twin.start(arguments.port)
    sys.stdout.write(f"url: {twin.url}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
