"""The replay twin: a local server that behaves like the Taobao Open Platform, and is as strict.

It checks signature, timestamp (10 minutes), app key, session and argument limits, answers in the platform's form,
renews tokens (rotating the refresh token), and serves a seeded order book that changes while it is read. Run it with
``python -m fairlead_taobao.twin --port 8600``, and point ``gateway_url`` and ``token_url`` of the settings at it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hmac
import json
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from fairlead.plugins.contracts.channel import InboundRequest
from fairlead.testing.http_twin import HttpTwin, Reply
from fairlead_taobao.client import CHINA, TOLERANCE, spi_sign, top_sign
from fairlead_taobao.mapping import BadTrade, from_utc, to_utc
from fairlead_taobao.settings import TaobaoSettings
from fairlead_taobao.twin_book import OrderBook, visible

MESSAGES = {
    7: "App Call Limited",
    22: "Invalid Method",
    24: "Missing Signature",
    25: "Invalid Signature",
    26: "Missing Session",
    27: "Invalid Session",
    29: "Invalid App Key",
    31: "Invalid Timestamp",
    40: "Missing Required Arguments",
    41: "Invalid Arguments",
}


class Refused(Exception):
    """An ``error_response``."""

    def __init__(self, code: int, sub_code: str = "", sub_msg: str = "") -> None:
        super().__init__(code)
        self.body = {
            "code": code,
            "msg": MESSAGES.get(code, "Remote service error"),
            "sub_code": sub_code,
            "sub_msg": sub_msg,
            "request_id": "twin",
        }


class TaobaoTwin(HttpTwin):
    """The platform in one object; use it as a context manager to have it served on 127.0.0.1.

    ``now`` is the platform's clock. ``limit_every`` refuses every n-th call with code 7 (0: none), ``moves_per_page``
    trades change after each page served, ``with_total`` says whether lists count, ``with_lines`` whether they hold
    sub-orders. ``calls`` lists ``(method, parameters)`` of what was accepted.
    """

    app_key = "12345678"
    app_secret = "helloworld"  # noqa: S105 - the printed sample of the platform's page

    def __init__(
        self,
        *,
        now: Callable[[], dt.datetime],
        seed: int = 7,
        orders: int = 300,
        days: float = 1.0,
        session_seconds: int = 3600,
        limit_every: int = 0,
        moves_per_page: int = 0,
        with_total: bool = True,
        with_lines: bool = True,
    ) -> None:
        self.now = now
        self.limit_every = limit_every
        self.moves_per_page = moves_per_page
        self.with_total = with_total
        self.with_lines = with_lines
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.book = OrderBook(seed=seed, count=orders, start=now() - dt.timedelta(days=days), end=now())
        self._session_seconds = session_seconds
        self._tokens = 0
        self._count = 0
        self._lock = threading.Lock()
        self.session, self.refresh_token = "", ""
        self._session_ends = now()
        self._new_tokens()

    def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """As the platform answers: whatever went wrong, by status 200."""
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        status, answer = self.token(form) if path == "/token" else (200, self.rest(form))
        return (
            status,
            {"content-type": "text/javascript;charset=UTF-8"},
            json.dumps(answer, ensure_ascii=False).encode(),
        )

    def settings(self, **changes: Any) -> TaobaoSettings:
        """Settings of an account at this twin, with its current tokens."""
        return TaobaoSettings.model_validate(
            {
                "app_key": self.app_key,
                "app_secret": self.app_secret,
                "session": self.session,
                "refresh_token": self.refresh_token,
                "gateway_url": f"http://127.0.0.1:{self.port}/router/rest",
                "token_url": f"http://127.0.0.1:{self.port}/token",
                **changes,
            }
        )

    def spi_request(self, payload: Mapping[str, Any]) -> InboundRequest:
        """A callback with this JSON body, signed as the platform signs it."""
        body = json.dumps(payload, ensure_ascii=False).encode()
        query = {
            "method": "taobao.fake.trade.changed",
            "app_key": self.app_key,
            "timestamp": from_utc(self.now()),
            "v": "2.0",
            "sign_method": "md5",
            "format": "json",
            "targetAppKey": "",
        }
        headers = {"content-type": "application/json;charset=utf-8"}
        query["sign"] = spi_sign(query, body, self.app_secret)
        return InboundRequest("POST", "/spi", query, headers, body)

    # -- being the platform -----------------------------------------------------------------------------------------

    def expire_session(self) -> None:
        """End the current session now."""
        self._session_ends = self.now()

    def rest(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer one call of the gateway."""
        with self._lock:
            try:
                method = self._admit(form)
                self.calls.append((method, dict(form)))
                name, answer = method.removeprefix("taobao.").replace(".", "_"), self._answer(method, form)
            except Refused as refusal:
                return {"error_response": refusal.body}
        return {f"{name}_response": {**answer, "request_id": "twin"}}

    def token(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer the token server: HTTP status and body."""
        with self._lock:
            known = form.get("client_id") == self.app_key and form.get("client_secret") == self.app_secret
            if not known:
                return 400, {"error": "invalid_client", "error_description": "client"}
            if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self.refresh_token:
                return 400, {"error": "invalid_grant", "error_description": "refresh token"}
            self._new_tokens()
            return 200, {
                "access_token": self.session,
                "token_type": "Bearer",
                "expires_in": self._session_seconds,
                "refresh_token": self.refresh_token,
                "re_expires_in": self._session_seconds * 2,
                "taobao_user_nick": "%E5%BA%97",
            }

    def _new_tokens(self) -> None:
        self._tokens += 1
        self.session, self.refresh_token = f"61000{self._tokens:06d}", f"62000{self._tokens:06d}"
        self._session_ends = self.now() + dt.timedelta(seconds=self._session_seconds)

    def _admit(self, form: Mapping[str, str]) -> str:
        if form.get("app_key") != self.app_key:
            raise Refused(29)
        if not form.get("sign"):
            raise Refused(24)
        blank = [name for name, value in form.items() if not value.strip()]
        try:
            expected = top_sign(form, self.app_secret, form.get("sign_method", "md5"))
        except ValueError:
            raise Refused(25) from None
        if blank or not hmac.compare_digest(expected.encode(), form["sign"].encode()):
            raise Refused(25)
        try:
            sent = dt.datetime.strptime(form.get("timestamp", ""), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
        except ValueError:
            raise Refused(31) from None
        if abs(self.now() - sent) > TOLERANCE:
            raise Refused(31)
        if form.get("v") != "2.0" or form.get("format") != "json":
            raise Refused(41, "isv.invalid-parameter", "v, format")
        self._count += 1
        if self.limit_every and self._count % self.limit_every == 0:
            raise Refused(7, "accesscontrol.limited-by-api-access-count", "This ban will last for 3 more seconds")
        if not form.get("session"):
            raise Refused(26)
        if form["session"] != self.session or self.now() >= self._session_ends:
            raise Refused(27, "session-expired")
        return form.get("method", "")

    def _answer(self, method: str, form: Mapping[str, str]) -> dict[str, Any]:
        if not form.get("fields"):
            raise Refused(40, "isv.missing-parameter:fields")
        match method:
            case "taobao.shop.seller.get":
                return {"shop": {"sid": 100001}}
            case "taobao.trades.sold.increment.get":
                return self._increment(form)
            case "taobao.trade.fullinfo.get":
                trade = self.book.trades.get(form.get("tid", ""))
                if trade is None:
                    raise Refused(15, "isv.trade-not-exist")
                return {"trade": visible(trade, form["fields"])}
            case "taobao.refund.get":
                refund = self.book.refunds.get(form.get("refund_id", ""))
                if refund is None:
                    raise Refused(15, "isv.refund-not-exist")
                return {"refund": visible(refund, form["fields"])}
        raise Refused(22)

    def _increment(self, form: Mapping[str, str]) -> dict[str, Any]:
        start, end = form.get("start_modified", ""), form.get("end_modified", "")
        try:
            length = to_utc(end, "end") - to_utc(start, "start")
            page, size = int(form.get("page_no", "1")), int(form.get("page_size", "40"))
        except (BadTrade, ValueError):
            raise Refused(41, "isv.invalid-parameter") from None
        if not dt.timedelta(0) <= length <= dt.timedelta(days=1) or not 1 <= size <= 100 or page < 1:
            raise Refused(41, "isv.invalid-parameter")
        found = self.book.changed(start, end)
        here = found[(page - 1) * size : page * size]
        fields = form["fields"] if self.with_lines else form["fields"].replace(",orders", "")
        answer: dict[str, Any] = {"trades": {"trade": [visible(trade, fields) for trade in here]}} if here else {}
        if form.get("use_has_next") == "true":
            answer["has_next"] = page * size < len(found)
        elif self.with_total:
            answer["total_results"] = len(found)
        self.book.disturb(self.moves_per_page, self.now())
        return answer


def main() -> None:
    """Serve a twin on the real clock until it is interrupted."""
    parser = argparse.ArgumentParser(description="A local stand-in for the Taobao Open Platform.")
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--moves-per-page", type=int, default=2)
    options = parser.parse_args()
    twin = TaobaoTwin(
        now=lambda: dt.datetime.now(dt.UTC),
        seed=options.seed,
        orders=options.orders,
        moves_per_page=options.moves_per_page,
        session_seconds=86400,
    )
    port = twin.start(options.port)
    sys.stdout.write(f"taobao twin on 127.0.0.1:{port} app_key={twin.app_key} session={twin.session}\n")
    sys.stdout.flush()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
