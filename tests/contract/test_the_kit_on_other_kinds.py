"""Each check of the kit catches what it is for: a thing that breaks one promise is told so in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from contract.kit_helpers import broken_promises, manifest
from fairlead.facts.model import Event, Order
from fairlead.plugins import Kind, NoSettings
from fairlead.plugins.contracts.attribution import Credits
from fairlead.plugins.contracts.importer import Finding
from fairlead.plugins.contracts.journey_node import NodeOutcome
from fairlead.plugins.contracts.scoring import Feature, Scores
from fairlead.testing import NodeHarness
from fairlead.testing.people import core_node_harness, random_people


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
        (Node(lambda b: NodeOutcome(zeros(b)[:1])), "everybody_gets_a_way", "of shape (1,) for 120"),
        (Node(lambda b: NodeOutcome(zeros(b) - 1)), "everybody_gets_a_way", "without due_at"),
        (Node(lambda b: NodeOutcome(zeros(b) - 1, zeros(b))), "everybody_gets_a_way", "an instant that is past"),
        (
            Node(lambda b: NodeOutcome((np.arange(len(b.profile_ids)) % 2).astype(np.int64) * (len(b.visits) > 100))),
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
        return core_node_harness(NoSettings())

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
        (Operator(lambda p: p > 10, lambda p: p >= 10), "sql_and_memory_agree", "disagree about 1 of 120 people"),
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


class Purchases:
    """Has placed an order; ``slip`` is what a careless author leaves out."""

    manifest = manifest(Kind.RULE_OPERATOR)

    def __init__(self, slip: str = "") -> None:
        self.slip = slip

    def compile(self, context: Any, arguments: Any) -> Any:
        where = {
            "person": Order.profile_id == context.profile_id,
            "client": Order.client_id == context.client_id,
            "future": Order.placed_at <= context.now,
        }
        where.pop(self.slip, None)
        return sa.select(Order.id).where(*where.values()).correlate_except(Order).exists()

    def evaluate(self, subject: Any, arguments: Any) -> bool:
        return any(fact.source == "order" for fact in subject.facts)


def test_an_operator_on_the_cores_tables_is_tried_without_a_harness() -> None:
    assert broken_promises(Purchases()) == {}
    for slip in ("person", "future"):
        assert "disagree about" in broken_promises(Purchases(slip))["sql_and_memory_agree"]


def test_the_people_of_the_kit_have_neighbours_and_a_future() -> None:
    work = random_people()
    assert work.client_id == 1
    assert work.session.scalar(sa.select(sa.func.max(Order.placed_at))) > work.now
    everyone = work.session.bare(sa.select(Order.__table__.c.client_id).distinct()).scalars().all()
    assert sorted(everyone) == [1, 2]
    again = random_people()
    assert again.session is not work.session
    count = sa.select(sa.func.count()).select_from(Event)
    assert again.session.scalar(count) == work.session.scalar(count) > 0


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
