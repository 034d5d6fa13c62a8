"""Each check of the kit catches what it is for: a thing that breaks one promise is told so in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import httpx2
import numpy as np
import pytest
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fairlead.plugins import Capability, Kind, Manifest, NoSettings, Quality, Title, hookimpl
from fairlead.plugins.contracts.attribution import Credits
from fairlead.plugins.contracts.channel import Health, HealthState, InboundOutcome, SendLimits, SendResult, SendState
from fairlead.plugins.contracts.importer import Finding
from fairlead.plugins.contracts.journey_node import NodeOutcome
from fairlead.plugins.contracts.scoring import Feature, Scores
from fairlead.plugins.errors import FixCredentials, OutcomeUnknown, RetryLater
from fairlead.plugins.http import error_for_status
from fairlead.plugins.manager import Plugins
from fairlead.plugins.registry import KINDS
from fairlead.plugins.sending import send_one_by_one
from fairlead.testing import ChannelHarness, FakeHttp, NodeHarness, fake_context
from fairlead.testing.contract import trials_of
from fairlead.testing.harness import scratch_session
from fairlead.testing.subject import ContractBroken

KEY = "very-secret-key-1"


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    api_key: SecretStr = Field(description="Key")


def manifest(kind: Kind, **more: Any) -> Manifest:
    given: dict[str, Any] = {
        "title": Title("测试", "Test"),
        "description": Title("测试用", "For tests"),
        "quality": Quality({"tested": "done"}),
        **more,
    }
    return Manifest(name="acme", kind=kind, version="1.0", **given)


def broken_promises(thing: Any, harness: Callable[[], Any] | None = None) -> dict[str, str]:
    """What the kit says of ``thing``, by check."""
    module = ModuleType("fairlead_acme")
    hook = KINDS[thing.manifest.kind].hook
    scope: dict[str, Any] = {"thing": thing}
    exec(f"def {hook}(register): register(thing)", scope)
    vars(module)[hook] = hookimpl(scope[hook])
    found = {}
    for trial in trials_of("acme", harness=harness, plugins=Plugins.for_tests(module)):
        try:
            trial.run()
        except ContractBroken as error:
            found[trial.name] = str(error)
    return found


# -- channels -------------------------------------------------------------------------------------------------------


class Good:
    """Keeps every promise; the classes below break one each."""

    idempotent = False
    address_kinds: tuple[str, ...] = ("phone",)
    manifest = manifest(
        Kind.CHANNEL, settings=Settings, capabilities=frozenset({Capability.MESSAGES, Capability.WEBHOOKS})
    )

    def check(self, context: Any) -> Health:
        self.post(context, "/check")
        return Health(HealthState.OK)

    def limits(self, context: Any) -> SendLimits:
        return SendLimits()

    def send(self, context: Any, messages: Sequence[Any]) -> Any:
        return send_one_by_one(messages, lambda message: self.send_one(context, message))

    def send_one(self, context: Any, message: Any) -> str:
        return str(self.post(context, f"/send/{message.key}").get("id", ""))

    def post(self, context: Any, path: str) -> dict[str, Any]:
        answer = context.http.post(f"https://acme.invalid{path}")
        error = error_for_status(answer, context.now())
        if error is not None:
            raise error
        try:
            found = answer.json()
        except ValueError:
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


class HidesAMethod(Good):
    manifest = replace(Good.manifest, capabilities=frozenset({Capability.MESSAGES}))


class PlainKey(BaseModel):
    model_config = ConfigDict(extra="forbid")
    api_key: str = Field("x", description="Key")


class ShowsItsKey(Good):
    manifest = replace(Good.manifest, settings=PlainKey)


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
        (AlwaysSent, "no_false_success", "send() said sent although the far side showed: nobody answers"),
        (RetriesTheLost, "a_lost_answer_is_not_sent_again", "asks for another try after the answer was lost"),
        (SaysTheKey, "secrets_stay_inside", "holds a secret of the settings"),
        (LogsTheAddress, "secrets_stay_inside", "a log line holds a person's address"),
        (BelievesAnybody, "a_forged_request_is_refused", "took a request that is empty"),
        (SignsNoBody, "a_forged_request_is_refused", "whose body has one more byte"),
        (NewIdEachTime, "a_genuine_request_is_taken", "gave two dedupe_ids"),
        (HidesAMethod, "capabilities_match_methods", "the methods of capability 'webhooks' are there"),
        (ShowsItsKey, "secrets_are_secret", "'api_key' looks like a secret but is not typed SecretStr"),
        (TakesAnything, "settings_are_a_form", "Loose takes unknown fields"),
        (SpeaksOneLanguage, "manifest_is_complete", "manifest.title.zh is 'Test', which is not Chinese"),
        (Overclaims, "quality_is_honest", "'orders' is done, but the manifest does not declare it"),
        (HasNoTable, "quality_is_honest", "there is no quality table"),
    ],
)
def test_a_channel_that_breaks_a_promise_is_told(thing: type[Any], check: str, says: str) -> None:
    found = broken_promises(thing(), account)
    assert says in found.get(check, ""), found


# -- the other kinds ------------------------------------------------------------------------------------------------


class Model:
    manifest = manifest(Kind.ATTRIBUTION_MODEL)

    def __init__(self, spoil: Callable[[Any, Any], Any]) -> None:
        self.spoil = spoil

    def credit(self, paths: Any, settings: NoSettings) -> Any:
        lengths, channels = np.diff(paths.offsets), paths.channels.astype(int)

        def share(earned: Any) -> Any:
            return np.bincount(channels, np.repeat(earned / lengths, lengths), minlength=len(paths.names))

        return self.spoil(paths, Credits(share(paths.converted), share(paths.value), {}))


def shifted(paths: Any, credits: Credits) -> Credits:
    moved = credits.conversions + np.array([1000.0, -1000.0, 0, 0, 0]) * bool(credits.conversions.any())
    return Credits(moved, credits.value, {})


def favours_the_first(paths: Any, credits: Credits) -> Credits:
    return Credits(np.eye(5)[0] * credits.conversions.sum(), credits.value, {})


@pytest.mark.parametrize(
    ("spoil", "check", "says"),
    [
        (
            lambda _, c: Credits(c.conversions * 0.9, c.value, {}),
            "credits_sum_to_what_was_earned",
            "conversions sums to",
        ),
        (lambda _, c: Credits(c.conversions, c.value * 0, {}), "credits_sum_to_what_was_earned", "value sums to 0"),
        (shifted, "credits_sum_to_what_was_earned", "negative conversions"),
        (lambda _, c: Credits(c.conversions[:2], c.value, {}), "no_paths_no_credit", "has the shape (2,)"),
        (favours_the_first, "one_channel_gets_all", "the only channel got 0.0 of 2"),
        (favours_the_first, "names_of_channels_decide_nothing", "must not depend on channel codes"),
        (lambda _, c: c.conversions, "no_paths_no_credit", "credit() gave ndarray; return Credits"),
        (lambda p, c: c if len(p) else 1 / 0, "no_paths_no_credit", "credit() raised ZeroDivisionError on 0 paths"),
        (lambda _, c: Credits(c.conversions, c.value, {"x": np.full(5, np.nan)}), "no_paths_no_credit", "NaN"),
    ],
)
def test_a_model_that_breaks_a_promise_is_told(spoil: Callable[[Any, Any], Any], check: str, says: str) -> None:
    found = broken_promises(Model(spoil))
    assert says in found.get(check, ""), found


def test_a_good_model_keeps_every_promise() -> None:
    assert broken_promises(Model(lambda _, credits: credits)) == {}


class Scheme:
    manifest = manifest(Kind.SCORING_SCHEME)

    def __init__(self, score: Callable[[Any], Any], features: Any = None) -> None:
        self._score = score
        self._features = (Feature("a", "event", "a"),) if features is None else features

    def features(self, settings: Any) -> Any:
        return self._features

    def score(self, columns: Any, settings: Any) -> Any:
        return self._score(columns["a"])


def spoils_its_input(column: Any) -> Scores:
    column += 1
    return Scores(column.copy(), {})


@pytest.mark.parametrize(
    ("scheme", "check", "says"),
    [
        (Scheme(lambda a: Scores(a[:1], {})), "scores_have_the_shape_of_the_profiles", "shape (0,) for 0"),
        (Scheme(lambda a: Scores(a - a.mean() if len(a) else a, {})), "a_profile_is_scored_alone", "one profile alone"),
        (Scheme(lambda a: Scores(np.sort(a), {})), "a_profile_is_scored_alone", "depends on the order"),
        (Scheme(spoils_its_input), "a_repeat_scores_the_same", ""),
        (Scheme(lambda a: Scores(a, {}), ()), "features_are_named", "asks for nothing"),
        (Scheme(lambda a: Scores(a, {}), (Feature("a", "sum", "a"),)), "features_are_named", "is of kind 'sum'"),
    ],
)
def test_a_scheme_that_breaks_a_promise_is_told(scheme: Scheme, check: str, says: str) -> None:
    found = broken_promises(scheme)
    assert check in found, found
    if check == "scores_have_the_shape_of_the_profiles":
        assert "has the shape (1,) for 7 profiles" in found[check]
    else:
        assert says in found[check]


class Node:
    manifest = manifest(Kind.JOURNEY_NODE)

    def __init__(self, run: Callable[[Any], Any], outlets: Any = ("yes", "no")) -> None:
        self._run, self._outlets = run, outlets

    def outlets(self, settings: Any) -> Any:
        return self._outlets

    def run(self, batch: Any, settings: Any) -> Any:
        return self._run(batch)


def zeros(batch: Any) -> Any:
    return np.zeros(len(batch.profile_ids), np.int64)


@pytest.mark.parametrize(
    ("node", "check", "says"),
    [
        (Node(lambda b: NodeOutcome(zeros(b)), ["yes"]), "outlets_are_stable", "return a tuple"),
        (Node(lambda b: NodeOutcome(zeros(b)), ("yes", "yes")), "outlets_are_stable", "gives a name twice"),
        (Node(lambda b: NodeOutcome(zeros(b) + 2)), "everybody_gets_a_way", "an outlet outside -1..1"),
        (Node(lambda b: NodeOutcome(zeros(b)[:1])), "everybody_gets_a_way", "of shape (1,) for 200"),
        (Node(lambda b: NodeOutcome(zeros(b) - 1)), "everybody_gets_a_way", "without due_at"),
        (Node(lambda b: NodeOutcome(zeros(b) - 1, zeros(b))), "everybody_gets_a_way", "an instant that is past"),
        (
            Node(lambda b: NodeOutcome((np.arange(len(b.profile_ids)) % 2).astype(np.int64) * (len(b.visits) > 150))),
            "the_batch_decides_nothing",
            "when the batch is halved",
        ),
    ],
)
def test_a_node_that_breaks_a_promise_is_told(node: Node, check: str, says: str) -> None:
    found = broken_promises(node)
    assert says in found.get(check, ""), found


class CompilingNode(Node):
    """Branches by the day of arrival, in both ways."""

    slip = 0

    def outlet_sql(self, context: Any, settings: Any) -> Any:
        return sa.case((context.entered_at > context.now - 86_400_000 + self.slip, 0), else_=1)

    def due_sql(self, context: Any, settings: Any) -> Any:
        return sa.literal(0)


class SlippingNode(CompilingNode):
    slip = 40_000_000


def test_a_node_whose_sql_decides_otherwise_is_told() -> None:
    def run(batch: Any) -> NodeOutcome:
        return NodeOutcome(np.where(batch.entered_at > batch.now - 86_400_000, 0, 1))

    def harness() -> NodeHarness:
        return NodeHarness(NoSettings(), scratch_session(), work=object())

    assert broken_promises(CompilingNode(run), harness) == {}
    found = broken_promises(SlippingNode(run), harness)
    assert "disagree for" in found["sql_decides_as_run_does"]


class Operator:
    manifest = manifest(Kind.RULE_OPERATOR)

    def __init__(self, compiled: Callable[[Any], Any], evaluated: Callable[[int], Any]) -> None:
        self._compiled, self._evaluated = compiled, evaluated

    def compile(self, context: Any, arguments: Any) -> Any:
        return self._compiled(context.profile_id)

    def evaluate(self, subject: Any, arguments: Any) -> Any:
        return self._evaluated(subject.profile_id)


@pytest.mark.parametrize(
    ("operator", "check", "says"),
    [
        (Operator(lambda p: p > 10, lambda p: p >= 10), "sql_and_memory_agree", "disagree about 1 of 200 people"),
        (Operator(lambda p: p > 0, lambda p: True), "the_condition_tells_people_apart", "holds for all"),
        (Operator(lambda p: p < 0, lambda p: False), "the_condition_tells_people_apart", "holds for none"),
        (
            Operator(lambda p: sa.case((p > 100, p > 200), else_=sa.null()), lambda p: False),
            "the_condition_can_be_negated",
            "compile() is NULL for",
        ),
        (Operator(lambda p: p > 10, lambda p: p), "sql_and_memory_agree", "return True or False"),
        (
            Operator(lambda p: sa.select(sa.literal(1)).select_from(sa.table("gone")).exists(), lambda p: True),
            "sql_and_memory_agree",
            "no such table: gone",
        ),
    ],
)
def test_an_operator_that_breaks_a_promise_is_told(operator: Operator, check: str, says: str) -> None:
    found = broken_promises(operator)
    assert says in found.get(check, ""), found


class Rule:
    manifest = manifest(Kind.CONTENT_RULE)

    def __init__(self, check: Callable[[str], Any]) -> None:
        self._check = check

    def check(self, text: str, channel: str, settings: Any) -> Any:
        return self._check(text)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Rule(lambda text: [Finding(0, len(text.encode()), "error", "x")]), "lies outside a text of"),
        (Rule(lambda text: [Finding(0, 0, "fatal", "x")]), "severity 'fatal'"),
        (Rule(lambda text: [Finding(0, 0, "error", " ")]), "has no message"),
        (Rule(lambda text: text[0] and []), "raised IndexError"),
    ],
)
def test_a_rule_that_breaks_a_promise_is_told(rule: Rule, says: str) -> None:
    found = broken_promises(rule)
    assert says in found.get("findings_lie_inside_the_text", ""), found
