"""A clock, an HTTP side and a context under the test's control."""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
from pydantic import BaseModel

from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.errors import OutcomeUnknown, RetryLater
from fairlead.plugins.http import SAFE_METHODS
from fairlead.plugins.manifest import NoSettings
from fairlead.plugins.settings_schema import merge

START = dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.UTC)

Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


class FakeClock:
    """A clock that only moves when told to. Call it, or read :attr:`now`, for an aware datetime in UTC."""

    def __init__(self, start: dt.datetime = START) -> None:
        self.now = start

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, **parts: float) -> dt.datetime:
        """Move by ``timedelta(**parts)`` and return the new instant: ``clock.advance(minutes=5)``."""
        self.now += dt.timedelta(**parts)
        return self.now


class FakeClient(httpx2.Client):
    """Raises what the guarded client of :mod:`fairlead.plugins.http` raises when a line breaks."""

    def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        """As in ``httpx2``; a broken line is an error of the ladder."""
        kwargs["follow_redirects"] = False
        try:
            return super().send(request, **kwargs)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise RetryLater(f"{request.url.host} cannot be reached") from error
        except httpx2.TransportError as error:
            if request.method in SAFE_METHODS:
                raise RetryLater(f"{request.url.host} broke off the exchange") from error
            raise OutcomeUnknown(f"{request.url.host} broke off after the request was sent") from error


class FakeHttp:
    """The far side of a plugin's ``context.http``, without a socket.

    Queued answers come first, in order; then ``otherwise`` answers everything. An answer is a response, an exception to
    raise (a broken line), or a function of the request. ``requests`` holds what came in.
    """

    def __init__(self, otherwise: Answer | None = None) -> None:
        self.otherwise: Answer = otherwise or httpx2.Response(200, json={})
        self.requests: list[httpx2.Request] = []
        self._queue: deque[Answer] = deque()

    def queue(self, *answers: Answer) -> FakeHttp:
        """Answer the next requests by these."""
        self._queue.extend(answers)
        return self

    def reply(self, status: int = 200, json: Any = None, *, headers: Mapping[str, str] | None = None) -> FakeHttp:
        """Queue one JSON answer."""
        return self.queue(httpx2.Response(status, json=json, headers=dict(headers or {})))

    def client(self) -> httpx2.Client:
        """A client whose requests end here; like the real one it raises from the ladder and follows no redirects."""
        return FakeClient(transport=httpx2.MockTransport(self._answer), follow_redirects=False, timeout=5)

    def bodies(self) -> list[Any]:
        """The JSON bodies that came in; ``None`` for a request whose body is not JSON."""
        return [_json(request.content) for request in self.requests]

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._queue.popleft() if self._queue else self.otherwise
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx2.Response):
            # A response is read once, so each request gets a fresh one.
            return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)


class SavedSettings(list[dict[str, Any]]):
    """What the plugin handed to ``context.save_settings``, oldest first."""

    def __call__(self, changes: Mapping[str, Any]) -> None:
        self.append(dict(changes))

    @property
    def latest(self) -> dict[str, Any]:
        """All changes merged, the last word wins."""
        merged: dict[str, Any] = {}
        for changes in self:
            merged = merge(merged, changes)
        return merged


def fake_context(
    settings: BaseModel | Mapping[str, Any] | None = None,
    *,
    model: type[BaseModel] | None = None,
    http: Any = None,
    clock: Callable[[], dt.datetime] | None = None,
    save_settings: Callable[[Mapping[str, Any]], None] | None = None,
    client: str = "acme",
    account: str = "main",
) -> ChannelContext:
    """A channel context for a test. ``settings`` is an instance, or a mapping that ``model`` validates.

    Without ``http`` every request is answered 200 with ``{}``.
    """
    if not isinstance(settings, BaseModel):
        settings = (model or NoSettings).model_validate(dict(settings or {}))
    return ChannelContext(
        client=client,
        account=account,
        settings=settings,
        http=http if http is not None else FakeHttp().client(),
        now=clock or FakeClock(),
        save_settings=SavedSettings() if save_settings is None else save_settings,
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
