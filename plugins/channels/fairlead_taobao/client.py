"""TOP calls: signing, sending, and what each refusal means.

Sources: the platform's pages on calling and signing (developer.alibaba.com, article 101617) and on callbacks (article
118404); the vendor's Java classes ``TaobaoUtils`` and ``SpiUtils``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from fairlead.plugins.contracts.channel import ChannelContext, InboundRequest
from fairlead.plugins.errors import (
    Abort,
    FixCredentials,
    FixSettings,
    OutcomeUnknown,
    PluginError,
    RetryLater,
    SkipItem,
)
from fairlead.plugins.http import error_for_status
from fairlead_taobao.settings import TaobaoSettings

CHINA = dt.timezone(dt.timedelta(hours=8))
TOLERANCE = dt.timedelta(minutes=10)
_CHARSETS = frozenset({"utf-8", "utf8", "gbk", "gb2312", "gb18030"})


# -- signing --------------------------------------------------------------------------------------------------------


def top_sign(params: Mapping[str, str], secret: str, method: str = "hmac-sha256", body: str = "") -> str:
    """The upper-case hex signature of a request.

    Names sort by code point; name and value are joined with nothing between; pairs with a blank name or value are left
    out (and must not be sent), ``sign`` too; ``body`` follows. ``md5`` wraps the secret around the text, ``hmac`` (MD5)
    and ``hmac-sha256`` use it as key only.
    """
    text = "".join(
        name + value for name, value in sorted(params.items()) if name != "sign" and name.strip() and value.strip()
    )
    data, key = (text + body).encode(), secret.encode()
    if method == "md5":
        return hashlib.md5(key + data + key).hexdigest().upper()  # noqa: S324 - the platform's scheme
    if method in ("hmac", "hmac-sha256"):
        return hmac.new(key, data, "md5" if method == "hmac" else "sha256").hexdigest().upper()
    raise ValueError(f"unknown sign_method {method!r}")


def spi_sign(params: Mapping[str, str], body: bytes, secret: str, charset: str = "utf-8") -> str:
    """The upper-case hex MD5 of a callback; unlike in :func:`top_sign` an empty value keeps its name."""
    text = "".join(name + value for name, value in sorted(params.items()) if name != "sign")
    key = secret.encode(charset)
    return hashlib.md5(key + text.encode(charset) + body + key).hexdigest().upper()  # noqa: S324 - the platform's


def verify_spi(request: InboundRequest, secret: str, now: dt.datetime) -> str:
    """Check a callback over its raw bytes and return its signature, which names the delivery.

    Raises :class:`FixCredentials` for a forged, altered or old one (more than 10 minutes either way, GMT+8).
    """
    kind, _, options = request.headers.get("content-type", "").partition(";")
    found = re.search(r"charset\s*=\s*\"?([\w-]+)", options, re.IGNORECASE)
    charset = found.group(1).lower() if found else "utf-8"
    if charset not in _CHARSETS:
        raise FixCredentials("the callback is in a charset that the platform does not use")
    params, body = dict(request.query), request.body
    given = params.pop("sign", "")
    try:
        if kind.strip().lower() == "application/x-www-form-urlencoded":
            params |= parse_qsl(body.decode("ascii"), keep_blank_values=True, encoding=charset, errors="strict")
            body = b""
        for name in filter(None, request.headers.get("top-sign-list", "").split(",")):
            params[name] = unquote_plus(request.headers.get(name.strip().lower(), ""), encoding=charset)
        expected = spi_sign(params, body, secret, charset)
    except (UnicodeError, ValueError) as error:
        raise FixCredentials("the callback cannot be read in its own charset") from error
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise FixCredentials("the callback's signature is wrong")
    try:
        sent = dt.datetime.strptime(params.get("timestamp", ""), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError as error:
        raise FixCredentials("the callback has no readable timestamp") from error
    if abs(now - sent) > TOLERANCE:
        raise FixCredentials("the callback is older than the platform's 10 minutes")
    return given


# -- refusals -------------------------------------------------------------------------------------------------------


def top_error(answer: Mapping[str, Any], method: str) -> PluginError:
    """The ladder's error for the ``error_response`` of a call.

    Its text has the codes only: the platform's sentences may repeat what was sent.
    """
    code = _short(answer.get("code"))
    sub = _short(answer.get("sub_code"))
    text = f"{method} was refused: {' '.join(filter(None, (code, sub)))}"
    number = int(code) if code.isdecimal() else -1
    if number in (26, 27):
        return FixCredentials(text, code=code)
    if number in (4, 5, 6, 7, 8):
        wait = re.search(r"(\d{1,5})\s*(?:more\s+)?second", str(answer.get("sub_msg", "")))
        return RetryLater(text, code=code, retry_after=float(wait.group(1)) if wait else None)
    if number == 10 or sub.startswith("isp.") or (number == 15 and not sub):
        return RetryLater(text, code=code)
    if number in (11, 12, 13, 24, 25, 28, 29) or "permission" in sub:
        return FixSettings(text, code=code)
    if sub.startswith("isv.") and number not in (40, 41) and "parameter" not in sub:
        return SkipItem(text, code=code)
    return Abort(text, code=code)


def _short(value: object) -> str:
    return re.sub(r"[^\w.:-]", "", str(value or ""), flags=re.ASCII)[:80]


# -- calls ----------------------------------------------------------------------------------------------------------


def call(context: ChannelContext, method: str, params: Mapping[str, str]) -> dict[str, Any]:
    """Call a reading API ``method`` and return the object inside its ``..._response``.

    Raises from the ladder. Every call of this plugin reads, so a lost answer is :class:`RetryLater`, never unknown.
    """
    settings: TaobaoSettings = context.settings
    form = {
        "method": method,
        "app_key": settings.app_key,
        "session": settings.session.get_secret_value(),
        "timestamp": context.now().astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
        "format": "json",
        "v": "2.0",
        "sign_method": settings.sign_method,
        **params,
    }
    form = {name: value for name, value in form.items() if value.strip()}
    form["sign"] = top_sign(form, settings.app_secret.get_secret_value(), settings.sign_method)
    answer = _post(context, settings.gateway_url, form)
    if isinstance(refusal := answer.get("error_response"), dict):
        raise top_error(refusal, method)
    inner = answer.get(method.removeprefix("taobao.").replace(".", "_") + "_response")
    if not isinstance(inner, dict):
        raise RetryLater(f"{method} gave an answer without its response object")
    return inner


def renew_token(context: ChannelContext) -> dict[str, Any]:
    """Trade the refresh token for new ones and return the changed settings, rotated refresh token included."""
    settings: TaobaoSettings = context.settings
    token = settings.refresh_token.get_secret_value()
    if not token:
        raise FixCredentials("there is no refresh token: the shop must authorise the app again")
    form = {
        "grant_type": "refresh_token",
        "client_id": settings.app_key,
        "client_secret": settings.app_secret.get_secret_value(),
        "refresh_token": token,
    }
    answer = _post(context, settings.token_url, form, refused=FixCredentials)
    if "error" in answer:
        raise FixCredentials(f"the token was not renewed: {_short(answer['error'])}", code=_short(answer["error"]))
    session = answer.get("access_token")
    if not isinstance(session, str) or not session:
        raise RetryLater("the token server gave no token")
    changed: dict[str, Any] = {"session": session}
    if isinstance(rotated := answer.get("refresh_token"), str) and rotated:
        changed["refresh_token"] = rotated
    for name, setting in (("expires_in", "session_expires_at"), ("re_expires_in", "refresh_expires_at")):
        seconds = str(answer.get(name, ""))
        if seconds.isdecimal() and len(seconds) < 11:
            changed[setting] = (context.now() + dt.timedelta(seconds=int(seconds))).isoformat()
    return changed


def _post(
    context: ChannelContext, url: str, form: Mapping[str, str], refused: type[PluginError] | None = None
) -> dict[str, Any]:
    """Post a form and read the JSON object that answers; ``refused`` is raised for 4xx answers where given."""
    try:
        response = context.http.post(url, data=dict(form))
        error = error_for_status(response, context.now())
        # The token server says what is wrong in the body of a 400.
        if error and not (refused and 400 <= response.status_code < 500 and not isinstance(error, RetryLater)):
            raise error
    except OutcomeUnknown as lost:
        raise RetryLater(lost.message, code=lost.code) from lost
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError) as broken:
        if error and refused:
            raise refused(error.message, code=error.code) from broken
        raise RetryLater("the platform's answer is not JSON") from broken
    if not isinstance(answer, dict):
        raise RetryLater("the platform's answer is not a JSON object")
    if error and refused and "error" not in answer:
        raise refused(error.message, code=error.code)
    return answer
