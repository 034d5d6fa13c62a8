"""Each check of the kit catches what it is for: a channel that breaks one promise is told so in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from contract.kit_helpers import broken_promises, manifest
from fairlead.plugins import ANYWHERE, Capability, Kind, Quality, Title
from fairlead.plugins.contracts.channel import Health, HealthState, InboundOutcome, SendLimits, SendResult, SendState
from fairlead.plugins.errors import FixCredentials, OutcomeUnknown, RetryLater
from fairlead.plugins.http import error_for_status
from fairlead.plugins.sending import send_one_by_one
from fairlead.testing import ChannelHarness, FakeHttp, fake_context

KEY = "very-secret-key-1"


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    api_key: SecretStr = Field(description="Key")


class Good:
    """Keeps every promise; the classes below break one each."""

    idempotent = False
    address_kinds: tuple[str, ...] = ("phone",)
    manifest = manifest(
        Kind.CHANNEL,
        settings=Settings,
        capabilities=frozenset({Capability.MESSAGES, Capability.WEBHOOKS}),
        region=ANYWHERE,
    )

    def check(self, context: Any) -> Health:
        self.post(context, "/check")
        return Health(HealthState.OK)

    def limits(self, context: Any) -> SendLimits:
        return SendLimits()

    def send(self, context: Any, messages: Sequence[Any]) -> Any:
        return send_one_by_one(context, messages, lambda message: self.send_one(context, message))

    def send_one(self, context: Any, message: Any) -> str:
        return str(self.post(context, f"/send/{message.key}").get("id", ""))

    def post(self, context: Any, path: str) -> dict[str, Any]:
        answer = context.http.post(f"https://acme.invalid{path}")
        error = error_for_status(answer, context.now())
        if error is not None:
            raise error
        try:
            found = answer.json()
        except (ValueError, RecursionError):
            raise OutcomeUnknown("not JSON") from None
        return found if isinstance(found, dict) else {}

    def receive(self, context: Any, request: Any) -> InboundOutcome:
        if request.headers.get("x-sign") != f"{len(request.body)}:{KEY}":
            raise FixCredentials("forged")
        return InboundOutcome(dedupe_id=str(len(request.body)))


@dataclass
class Far:
    """The far side of ``Good``."""

    taken: list[str]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.startswith("/send/"):
            self.taken.append(request.url.path.removeprefix("/send/"))
        return httpx2.Response(200, json={"id": "1"})


def account() -> ChannelHarness:
    from fairlead.plugins.contracts.channel import InboundRequest

    far = Far([])
    context = fake_context(Settings(api_key=SecretStr(KEY)), http=FakeHttp(otherwise=far).client())
    genuine = InboundRequest("POST", "/", {}, {"x-sign": f"2:{KEY}"}, b"{}")
    return ChannelHarness(context, delivered=lambda: far.taken, genuine=genuine)


def test_a_good_channel_keeps_every_promise() -> None:
    assert broken_promises(Good(), account) == {}


class SaysNothing(Good):
    def check(self, context: Any) -> Any:
        return None


class SavesInCheck(Good):
    def check(self, context: Any) -> Health:
        context.save_settings({"seen": 1})
        return Health(HealthState.OK)


class KeepsState(Good):
    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}


class NoKinds(Good):
    address_kinds = ()


class EndlessRate(Good):
    def limits(self, context: Any) -> SendLimits:
        return SendLimits(batch=0)


class LosesOne(Good):
    def send(self, context: Any, messages: Sequence[Any]) -> Any:
        return super().send(context, messages)[:-1]


class TurnsAround(Good):
    def send(self, context: Any, messages: Sequence[Any]) -> Any:
        return super().send(context, messages)[::-1]


class ReturnsNothing(Good):
    def send(self, context: Any, messages: Sequence[Any]) -> Any:
        return None


class SendsTwice(Good):
    def send_one(self, context: Any, message: Any) -> str:
        super().send_one(context, message)
        return super().send_one(context, message)


class ClaimsIdempotence(Good):
    idempotent = True


class LeaksVendorError(Good):
    def post(self, context: Any, path: str) -> dict[str, Any]:
        context.http.post(f"https://acme.invalid{path}").raise_for_status()
        return {}


class BelievesInShallowJson(Good):
    def post(self, context: Any, path: str) -> dict[str, Any]:
        try:
            found = context.http.post(f"https://acme.invalid{path}").json()
        except ValueError:
            raise OutcomeUnknown("not JSON") from None
        return found if isinstance(found, dict) else {}


class AlwaysSent(Good):
    def send(self, context: Any, messages: Sequence[Any]) -> Any:
        try:
            super().send(context, messages)
        finally:
            return [SendResult(message.key, SendState.SENT) for message in messages]  # noqa: B012


class RetriesTheLost(Good):
    def send_one(self, context: Any, message: Any) -> str:
        try:
            return super().send_one(context, message)
        except OutcomeUnknown as error:
            raise RetryLater("again") from error


class SaysTheKey(Good):
    def post(self, context: Any, path: str) -> dict[str, Any]:
        try:
            return super().post(context, path)
        except RetryLater as error:
            raise RetryLater(f"{context.settings.api_key.get_secret_value()} was refused") from error


class LogsTheAddress(Good):
    def send_one(self, context: Any, message: Any) -> str:
        logging.getLogger("acme").info("to %s", message.address)
        return super().send_one(context, message)


class BelievesAnybody(Good):
    def receive(self, context: Any, request: Any) -> InboundOutcome:
        return InboundOutcome(dedupe_id="1")


class SignsNoBody(Good):
    def receive(self, context: Any, request: Any) -> InboundOutcome:
        if not request.headers.get("x-sign"):
            raise FixCredentials("forged")
        return InboundOutcome(dedupe_id="1")


class NewIdEachTime(Good):
    count = 0

    def receive(self, context: Any, request: Any) -> InboundOutcome:
        super().receive(context, request)
        NewIdEachTime.count += 1
        return InboundOutcome(dedupe_id=str(NewIdEachTime.count))


class HidesTheCountry(Good):
    manifest = replace(Good.manifest, region="")


class StaysAndGoes(Good):
    manifest = replace(Good.manifest, quality=Quality({"region": "exempt: it stays here"}))


class NamesNoCountry(Good):
    manifest = replace(Good.manifest, region="China")


class HidesAMethod(Good):
    manifest = replace(Good.manifest, capabilities=frozenset({Capability.MESSAGES}))


class PlainKey(BaseModel):
    model_config = ConfigDict(extra="forbid")
    api_key: str = Field("x", description="Key")


class ShowsItsKey(Good):
    manifest = replace(Good.manifest, settings=PlainKey)


class SentAnywhere(Settings):
    gateway: str = Field("gw.acme.example", description="Where calls go")


class LeavesItsAddressOpen(Good):
    manifest = replace(Good.manifest, settings=SentAnywhere)


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    far_end: str = Field("wss://acme.example", description="The other end")


class SentAnywhereBelow(Settings):
    line: Line | None = Field(None, description="The line")


class LeavesANestedAddressOpen(Good):
    manifest = replace(Good.manifest, settings=SentAnywhereBelow)


class Loose(BaseModel):
    region: str = Field("cn", description="Region")


class TakesAnything(Good):
    manifest = replace(Good.manifest, settings=Loose)


class SpeaksOneLanguage(Good):
    manifest = replace(Good.manifest, title=Title("Test", "Test"))


class Overclaims(Good):
    manifest = replace(Good.manifest, quality=Quality({"orders": "done"}))


class HasNoTable(Good):
    manifest = replace(Good.manifest, quality=Quality())


@pytest.mark.parametrize(
    ("thing", "check", "says"),
    [
        (SaysNothing, "check_says_ok_and_changes_nothing", "check() gave None; return a Health"),
        (SavesInCheck, "check_says_ok_and_changes_nothing", "check() saved settings"),
        (KeepsState, "keeps_no_state", "KeepsState keeps accounts"),
        (NoKinds, "names_who_it_reaches", "give a tuple such as ('phone',)"),
        (EndlessRate, "limits_are_sane", "a batch of 0"),
        (LosesOne, "send_answers_for_each_message_in_order", "2 results for 3 messages"),
        (TurnsAround, "send_answers_for_each_message_in_order", "keep order and keys"),
        (ReturnsNothing, "send_answers_for_each_message_in_order", "send() gave NoneType"),
        (SendsTwice, "send_reaches_the_far_side_once", "the twin took"),
        (ClaimsIdempotence, "a_repeated_key_is_not_sent_twice", "the twin took ['kit-1', 'kit-2', 'kit-3'] more than"),
        (LeaksVendorError, "only_the_ladder_crosses", "let HTTPStatusError out when the far side showed: 429"),
        (
            BelievesInShallowJson,
            "only_the_ladder_crosses",
            "let RecursionError out when the far side showed: JSON",
        ),
        (AlwaysSent, "no_false_success", "send() said sent although the far side showed: nobody answers"),
        (RetriesTheLost, "a_lost_answer_is_not_sent_again", "asks for another try after the answer was lost"),
        (SaysTheKey, "secrets_stay_inside", "holds a secret of the settings"),
        (LogsTheAddress, "secrets_stay_inside", "a log line holds a person's address"),
        (BelievesAnybody, "a_forged_request_is_refused", "took a request that is empty"),
        (SignsNoBody, "a_forged_request_is_refused", "whose body has one more byte"),
        (NewIdEachTime, "a_genuine_request_is_taken", "gave two dedupe_ids"),
        (HidesAMethod, "capabilities_match_methods", "the methods of capability 'webhooks' are there"),
        (ShowsItsKey, "secrets_are_secret", "'api_key' looks like a secret but is not typed SecretStr"),
        (HidesTheCountry, "says_where_addresses_go", "write manifest.region"),
        (StaysAndGoes, "says_where_addresses_go", "only where nothing leaves the machine it is empty"),
        (NamesNoCountry, "manifest_is_complete", "manifest.region is 'China'"),
        (LeavesItsAddressOpen, "secrets_go_where_they_were_given_for", "'gateway' looks like an address"),
        (LeavesANestedAddressOpen, "secrets_go_where_they_were_given_for", "'line.far_end' looks like an address"),
        (TakesAnything, "settings_are_a_form", "Loose takes unknown fields"),
        (SpeaksOneLanguage, "manifest_is_complete", "manifest.title.zh is 'Test', which is not Chinese"),
        (Overclaims, "quality_is_honest", "'orders' is done, but the manifest does not declare it"),
        (HasNoTable, "quality_is_honest", "there is no quality table"),
    ],
)
def test_a_channel_that_breaks_a_promise_is_told(thing: type[Any], check: str, says: str) -> None:
    found = broken_promises(thing(), account)
    assert says in found.get(check, ""), found
