"""The replay twin: a local server that answers like the custom bot, and is as strict.

It checks address, size, signature (one hour), keyword and both rates. Run it with
``python -m fairlead_feishu.twin --port 8601`` and set ``webhook_url`` to what it prints.
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
from collections.abc import Callable, Mapping
from typing import Any

from fairlead.testing.http_twin import HttpTwin, Reply
from fairlead_feishu.settings import FeishuSettings

PATH = "/open-apis/bot/v2/hook/"
TOLERANCE = dt.timedelta(hours=1)
MAX_BODY = 20 * 1024

Answer = tuple[int, dict[str, Any]]


class FeishuTwin(HttpTwin):
    """The bot in one object; use it as a context manager to have it served on 127.0.0.1.

    ``now`` is the platform's clock. ``secret`` and ``keyword`` switch on those checks; ``per_second`` and
    ``per_minute`` are the rates. ``messages`` holds what was accepted, as parsed JSON.
    """

    def __init__(
        self,
        *,
        now: Callable[[], dt.datetime],
        bot: str = "11111111-2222-3333-4444-555555555555",
        secret: str = "",
        keyword: str = "",
        per_second: int = 5,
        per_minute: int = 100,
    ) -> None:
        self.now = now
        self.bot, self.secret, self.keyword = bot, secret, keyword
        self.limits = ((dt.timedelta(seconds=1), per_second), (dt.timedelta(minutes=1), per_minute))
        self.messages: list[dict[str, Any]] = []
        self._taken: list[dt.datetime] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The bot's webhook address."""
        return f"{self.origin}{PATH}{self.bot}"

    def settings(self, **changes: Any) -> FeishuSettings:
        """Settings that fit this twin."""
        given = {"webhook_url": self.url, "secret": self.secret, "keyword": self.keyword, **changes}
        return FeishuSettings.model_validate(given)

    def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """As the platform answers."""
        status, answer = self.hook(path, body)
        return status, {"content-type": "application/json; charset=utf-8"}, json.dumps(answer).encode()

    def hook(self, path: str, body: bytes) -> Answer:
        """Answer one request: HTTP status and body."""
        with self._lock:
            if path != PATH + self.bot:
                return 200, _refusal(19001, "param invalid: incoming webhook access token invalid")
            try:
                message = json.loads(body) if len(body) <= MAX_BODY else None
            except ValueError:
                message = None
            if not isinstance(message, dict) or not _is_post(message):
                return 400, _refusal(9499, "Bad Request")
            if self.secret and not self._is_signed(message):
                return 200, _refusal(19021, "sign match fail or timestamp is not within one hour from current time")
            if self.keyword and self.keyword not in json.dumps(message["content"], ensure_ascii=False):
                return 200, _refusal(19024, "Key Words Not Found")
            if not self._take():
                return 200, _refusal(11232, "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]")
            self.messages.append(message)
        return 200, {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}

    def _is_signed(self, message: dict[str, Any]) -> bool:
        stamp, sign = message.get("timestamp"), message.get("sign")
        if not isinstance(stamp, str) or not stamp.isdecimal() or not isinstance(sign, str):
            return False
        if abs(self.now().timestamp() - int(stamp)) > TOLERANCE.total_seconds():
            return False
        mac = hmac.new(key=(stamp + "\n" + self.secret).encode(), msg=b"", digestmod=hashlib.sha256)
        return hmac.compare_digest(base64.b64encode(mac.digest()), sign.encode())

    def _take(self) -> bool:
        now = self.now()
        for span, limit in self.limits:
            if sum(now - at < span for at in self._taken) >= limit:
                return False
        self._taken.append(now)
        return True


def _is_post(message: dict[str, Any]) -> bool:
    try:
        post = message["content"]["post"]["zh_cn"]
        return message["msg_type"] == "post" and isinstance(post["title"], str) and isinstance(post["content"], list)
    except (KeyError, TypeError):
        return False


def _refusal(code: int, text: str) -> dict[str, Any]:
    return {"code": code, "data": {}, "msg": text}


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A local stand-in for a Feishu custom bot.")
    parser.add_argument("--port", type=int, default=8601)
    parser.add_argument("--secret", default="")
    arguments = parser.parse_args()
    twin = FeishuTwin(now=lambda: dt.datetime.now(dt.UTC), secret=arguments.secret)
    twin.start(arguments.port)
    sys.stdout.write(f"webhook_url: {twin.url}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
