"""What a channel must do when the far side misbehaves: climb the ladder, claim nothing, give nothing away."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx2

from fairlead.plugins.contracts.channel import ChannelContext, SendResult, SendState
from fairlead.plugins.errors import OutcomeUnknown, PluginError, RetryLater
from fairlead.plugins.manifest import Capability
from fairlead.testing.fakes import Answer, FakeHttp
from fairlead.testing.harness import ChannelHarness, default_channel_harness
from fairlead.testing.samples import secret_values
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()

FAULTS: dict[str, Answer] = {
    "nobody answers": httpx2.ConnectError("refused"),
    "the answer is lost": httpx2.ReadTimeout("timed out"),
    "429 with Retry-After": httpx2.Response(429, headers={"retry-after": "17"}, json={"error": "busy"}),
    "429 until a day that no calendar has": httpx2.Response(
        429, headers={"retry-after": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"}
    ),
    "500": httpx2.Response(500, text="Internal Server Error"),
    "401": httpx2.Response(401, json={"error": "invalid_token"}),
    "a redirect": httpx2.Response(302, headers={"location": "https://elsewhere.invalid/"}),
    "a page instead of an answer": httpx2.Response(200, text="<html>Please log in</html>"),
    "an empty answer": httpx2.Response(200, content=b""),
    "a list instead of an object": httpx2.Response(200, json=[None, 1, "x"]),
    "null": httpx2.Response(200, json=None),
    "broken UTF-8": httpx2.Response(200, content=b'{"id": "\xff\xfe"}'),
    "JSON nested beyond any depth": httpx2.Response(200, content=b"[" * 200_000),
    "numbers where texts should be": httpx2.Response(200, json={"id": 7, "code": "0", "data": 1, "errors": 3}),
}
NOT_SENT = (
    "nobody answers",
    "the answer is lost",
    "429 with Retry-After",
    "429 until a day that no calendar has",
    "500",
    "401",
    "a redirect",
)


@dataclass(slots=True)
class Trial:
    """What came of one call under one fault."""

    fault: str
    call: str
    used: bool
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Overheard:
    """Everything written while the trials ran."""

    text: io.StringIO = field(default_factory=io.StringIO)


@CHECKS.add(twin=True)
def only_the_ladder_crosses(subject: Subject) -> None:
    """Whatever the far side does, a call returns or raises from the error ladder; no vendor exception gets out."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        for trial in trials(subject, harness):
            error = trial.error
            require(
                error is None or isinstance(error, PluginError),
                f"{trial.call}() let {type(error).__name__} out when the far side showed: {trial.fault}; "
                "raise one of fairlead.plugins.errors from it",
            )


@CHECKS.add(capability=Capability.MESSAGES, twin=True)
def no_false_success(subject: Subject) -> None:
    """send() never says sent when the far side refused, was busy, or could not be reached."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        for trial in trials(subject, harness):
            if trial.call != "send" or not trial.used or trial.fault not in NOT_SENT or trial.result is None:
                continue
            states = {result.state for result in trial.result if isinstance(result, SendResult)}
            require(SendState.SENT not in states, f"send() said sent although the far side showed: {trial.fault}")


@CHECKS.add(capability=Capability.MESSAGES, twin=True)
def a_lost_answer_is_not_sent_again(subject: Subject) -> None:
    """Unless the platform drops repeats, a lost answer is 'unknown', never 'retry': a repeat could double it."""
    if subject.thing.idempotent:
        return
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        for trial in trials(subject, harness, only="the answer is lost"):
            if trial.call != "send" or not trial.used:
                continue
            again = isinstance(trial.error, RetryLater) or any(
                result.state in (SendState.RETRY, SendState.NOT_TRIED) for result in trial.result or ()
            )
            require(
                not again,
                f"send() asks for another try after the answer was lost; "
                f"raise {OutcomeUnknown.__name__} or answer {SendState.UNKNOWN.value}, or say idempotent = True",
            )


@CHECKS.add(twin=True)
def secrets_stay_inside(subject: Subject) -> None:
    """No secret of the settings and no address of a person is in an error, a health detail, a result or a log line."""
    with subject.open(ChannelHarness, default_channel_harness) as harness, overhear() as heard:
        said: list[str] = []
        for trial in trials(subject, harness):
            error: BaseException | None = trial.error
            said += [f"{type(error).__name__}: {error} {getattr(error, 'code', '')}"] if error else []
            said += [repr(getattr(trial.result, "detail", ""))]
            said += (
                [f"{r.reason} {r.external_id}" for r in trial.result or () if isinstance(r, SendResult)]
                if isinstance(trial.result, list | tuple)
                else []
            )
        spoken, written = "\n".join(said), heard.text.getvalue()
        for secret in secret_values(harness.context.settings):
            require(secret not in spoken, "an error, result or health detail holds a secret of the settings")
            require(secret not in written, "a log line holds a secret of the settings")
        for message in harness.messages:
            require(message.address not in spoken, "an error, result or health detail holds a person's address")
            require(message.address not in written, "a log line holds a person's address")


def trials(subject: Subject, harness: ChannelHarness, only: str = "") -> Iterator[Trial]:
    """Every call the channel offers, under every fault; one at a time."""
    for fault, context, used in _broken_contexts(harness, only):
        for call, perform in _calls(subject, harness).items():
            trial = Trial(fault, call, used=False)
            before = used()
            try:
                trial.result = perform(context)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the check is about what comes out
                trial.error = error
            trial.used = used() > before
            yield trial


@contextlib.contextmanager
def overhear() -> Iterator[Overheard]:
    """Collect what any logger writes, down to DEBUG."""
    heard = Overheard()
    handler = logging.StreamHandler(heard.text)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def _broken_contexts(harness: ChannelHarness, only: str) -> Iterable[tuple[str, ChannelContext, Callable[[], int]]]:
    if harness.failing is not None:
        calls = itertools.count()
        for fault, context in harness.failing():
            if not only or fault == only:
                yield fault, context, calls.__next__
        return
    for fault, answer in FAULTS.items():
        if not only or fault == only:
            http = FakeHttp(otherwise=answer)
            yield fault, replace(harness.context, http=http.client()), partial(_count, http)


def _count(http: FakeHttp) -> int:
    return len(http.requests)


def _calls(subject: Subject, harness: ChannelHarness) -> dict[str, Callable[[ChannelContext], Any]]:
    thing, has = subject.thing, subject.manifest.capabilities.__contains__
    calls: dict[str, Callable[[ChannelContext], Any]] = {"check": thing.check}
    if has(Capability.MESSAGES):
        calls["send"] = lambda context: thing.send(context, harness.messages)
    if has(Capability.ORDERS):
        calls["sync_orders"] = lambda context: [*thing.sync_orders(context, harness.window)] and None
    if has(Capability.CREDENTIALS):
        calls["refresh"] = thing.refresh
    return calls


def try_call(subject: Subject, name: str, call: Callable[[], Any]) -> Any:
    """Call, and make a sentence of an error of the ladder."""
    try:
        return call()
    except PluginError as error:
        where = subject.where(getattr(subject.thing, name))
        broken(f"{name}() on a good account raised {type(error).__name__}: {error.message} ({where})")
