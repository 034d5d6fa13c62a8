"""The notifier: one notice, one signed request, told again under the same id until it is taken."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

import httpx2

from fairlead.plugins import Kind, Manifest, Title
from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.contracts.notifier import Notice
from fairlead.plugins.errors import Abort, FixSettings, OutcomeUnknown, PluginError, RetryLater
from fairlead.plugins.http import retry_after_seconds
from fairlead_webhook.settings import WebhookSettings
from fairlead_webhook.signing import signature

# The specification asks for payloads under 20 KB.
MAX_BODY = 20_000
SHORTENED = "… (shortened)"


class WebhookNotifier:
    """Posts notices by Standard Webhooks. Receivers drop repeated ids, so a lost answer is simply tried again."""

    manifest = Manifest(
        name="webhook",
        kind=Kind.NOTIFIER,
        version="1.0.0",
        title=Title("Webhook 通知", "Webhook"),
        description=Title(
            "按 Standard Webhooks 规范向任意地址发送签名通知，支持密钥轮换。",
            "Sends signed notices to any address by Standard Webhooks, with key rotation.",
        ),
        settings=WebhookSettings,
        docs="https://www.standardwebhooks.com",
    )

    def notify(self, context: ChannelContext, notice: Notice) -> None:
        """Post ``notice`` as ``{type, timestamp, data}``; long texts are shortened. Raises from the ladder."""
        settings: WebhookSettings = context.settings
        identifier, sent_at, body = message_id(context, notice), int(context.now().timestamp()), body_of(notice)
        headers = {
            "content-type": "application/json",
            "webhook-id": identifier,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": signature(settings.keys(), identifier, sent_at, body),
        }
        try:
            response = context.http.post(settings.url, content=body, headers=headers)
        except OutcomeUnknown as error:
            raise RetryLater(error.message, code=error.code) from error
        refusal = error_of(response, context.now())
        if refusal is not None:
            raise refusal


def message_id(context: ChannelContext, notice: Notice) -> str:
    """``msg_`` and a digest: the same for each try of a notice to a target, and free of ``.`` as the scheme wants."""
    named = "\0".join((context.client, context.account, notice.key))
    return "msg_" + hashlib.sha256(named.encode()).hexdigest()[:32]


def body_of(notice: Notice) -> bytes:
    """The payload in UTF-8, at most 20 kB: the text is shortened first, then the fields are left out."""
    body = _encode(notice, notice.text, dict(notice.data))
    if len(body) <= MAX_BODY:
        return body
    for fields in (dict(notice.data), {}):
        low, high = 0, len(notice.text)
        # Escapes make a character 1 to 6 bytes long, so the longest text that fits is searched for.
        while low < high:
            middle = (low + high + 1) // 2
            fits = len(_encode(notice, notice.text[:middle] + SHORTENED, fields)) <= MAX_BODY
            low, high = (middle, high) if fits else (low, middle - 1)
        body = _encode(notice, notice.text[:low] + SHORTENED, fields)
        if len(body) <= MAX_BODY:
            return body
    raise Abort("the notice is too long even without its text and fields")


def error_of(response: httpx2.Response, now: dt.datetime) -> PluginError | None:
    """What the receiver's status means on the ladder; ``None`` for 2xx, whatever the body says."""
    status, host = response.status_code, response.request.url.host
    code, text = str(status), f"{host} answered {status}"
    if 200 <= status < 300:
        return None
    if status in (408, 425, 429) or status >= 500:
        wait = retry_after_seconds(response.headers.get("retry-after", ""), now)
        return RetryLater(text, code=code, retry_after=wait)
    if status == 410:
        return FixSettings(f"{text}: it wants no more webhooks at this address", code=code)
    if status < 400:
        return FixSettings(f"{text}, a redirect, which is not followed", code=code)
    return Abort(text, code=code)


def _encode(notice: Notice, text: str, fields: dict[str, Any]) -> bytes:
    payload = {
        "type": notice.type,
        "timestamp": notice.at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
        "data": {"key": notice.key, "title": notice.title, "text": text, "fields": fields},
    }
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), default=str).encode()
