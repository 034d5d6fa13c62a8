"""The custom bot's protocol: signature, body, and what its answers mean.

Source: Feishu Open Platform, "Custom bot guide" (open.feishu.cn/document/client-docs/bot-v3/add-custom-bot). Limits: 5
requests a second and 100 a minute per bot, 20 KB a request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from fairlead.plugins.contracts.notifier import Notice
from fairlead.plugins.errors import Abort, FixCredentials, FixSettings, OutcomeUnknown, PluginError, RetryLater
from fairlead.plugins.http import error_for_status

# Feishu says 20 KB and not whether that is 20,000 or 20,480.
MAX_BODY = 20_000
MAX_TITLE = 200
SHORTENED = "…（内容过长，已截断 / shortened）"

_MINUTE = 60.0


def bot_sign(timestamp: int, secret: str) -> str:
    """Base64 of HMAC-SHA256 with the *key* ``timestamp + "\\n" + secret`` over nothing. ``timestamp`` in seconds."""
    return base64.b64encode(hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def body_of(notice: Notice, *, timestamp: int, secret: str, keyword: str) -> bytes:
    """The request for one notice, within the size limit.

    A ``post`` message is used because its texts are plain: in a ``text`` message ``<at user_id="all">`` would ring
    everybody.
    """
    title = notice.title[:MAX_TITLE]
    if keyword and keyword not in title:
        title = f"{title} {keyword}"
    facts = [f"{name}: {_plain(value)}" for name, value in notice.data.items()]
    text = "\n".join(line for line in (notice.text, *facts) if line) or notice.title
    body = _encode(title, text, timestamp, secret)
    return body if len(body) <= MAX_BODY else _encode_short(title, text, timestamp, secret)


def error_of(response: httpx2.Response, now: Callable[[], Any]) -> PluginError | None:
    """What the bot's answer means on the ladder; ``None`` when the message was accepted."""
    answer = _json(response)
    code = answer.get("code", answer.get("StatusCode"))
    if not isinstance(code, int) or isinstance(code, bool):
        by_status = error_for_status(response, now())
        return by_status or OutcomeUnknown("the answer is not one of Feishu; check the webhook address")
    if code == 0:
        return error_for_status(response, now())
    text = str(code)
    match code:
        case 11232:
            return RetryLater("the bot sends too often", code=text, retry_after=_MINUTE)
        case 99991400:
            return RetryLater("the bot sends too often", code=text, retry_after=_reset(response))
        case 19021:
            return FixCredentials("the signature is refused: check the secret and the clock", code=text)
        case 19022:
            return FixSettings("this machine's address is not in the bot's list of allowed addresses", code=text)
        case 19024:
            return FixSettings("the bot wants a keyword in each message: set it", code=text)
        case 19001:
            return FixSettings("the webhook address is unknown to Feishu", code=text)
    return Abort(f"Feishu refused the message with code {text}", code=text)


def _encode(title: str, text: str, timestamp: int, secret: str) -> bytes:
    content = {"zh_cn": {"title": title, "content": [[{"tag": "text", "text": text}]]}}
    message: dict[str, Any] = {"msg_type": "post", "content": {"post": content}}
    if secret:
        message = {"timestamp": str(timestamp), "sign": bot_sign(timestamp, secret), **message}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _encode_short(title: str, text: str, timestamp: int, secret: str) -> bytes:
    low, high = 0, len(text)
    # Escapes make a character 1 to 6 bytes long, so the longest text that fits is searched for.
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(_encode(title, text[:middle] + SHORTENED, timestamp, secret)) <= MAX_BODY
        low, high = (middle, high) if fits else (low, middle - 1)
    return _encode(title, text[:low] + SHORTENED, timestamp, secret)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _json(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _reset(response: httpx2.Response) -> float:
    value = response.headers.get("x-ogw-ratelimit-reset", "")
    return float(value) if value.isascii() and value.isdecimal() and len(value) < 6 else _MINUTE
