"""Questions to attribution over stored facts: conversions, the span, merges, and an answer that is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

import fairlead_last_touch
import fairlead_linear
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_agency, create_client
from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.merging import merge_profiles, split_profile
from fairlead.errors import InvalidInput, NotFound, Refusals
from fairlead.facts.ingest import EventColumns, OrderColumns, TouchColumns, take_events, take_orders, take_touches
from fairlead.insights.model import AttributionRun
from fairlead.insights.service import ask, attribute, credits_of, read_paths
from fairlead.runtime import Fairlead
from fairlead.work import Work
from support.plans import explained, steps_of

DAY = 86_400_000
START = 1_700_000_000_000


def member(*names: str) -> list[ClaimColumn]:
    return [ClaimColumn("member", list(names))]


@pytest.fixture
def runtime(build_runtime: Callable[..., Fairlead]) -> Fairlead:
    """A client with two models; ann and bob met channels and bought."""
    made = build_runtime(fairlead_last_touch, fairlead_linear, cache_seconds=0)
    with made.agency_work("test") as work:
        create_client(work, create_agency(work, "main", "Agency").id, "acme", "Acme")
    with made.work("acme") as work:
        for name in made.plugins.names:
            set_plugin(work, made.plugins, name, True)
    with made.work("acme") as work:
        who, channels, days = ["ann", "ann", "bob", "cleo"], ["mail", "search", "mail", "search"], [0, 1, 0, 0]
        at = [START + day * DAY for day in days]
        ids = [f"t{number}" for number in range(4)]
        take_touches(work, "log", TouchColumns(ids, ["click"] * 4, channels, at, member(*who)))
        orders = OrderColumns(
            source_ids=["o1", "o2", "o3", "o4"],
            channels=["shop"] * 4,
            statuses=["paid", "paid", "created", "refunded"],
            currencies=["CNY"] * 4,
            amounts=[1000, 500, 300, 200],
            paid_amounts=[1000, 500, 0, 200],
            placed_at=[START] * 4,
            paid_at=[START + 2 * DAY, START + 2 * DAY, None, START + 3 * DAY],
            changed_at=[START] * 4,
            claims=member("ann", "bob", "cleo", "nobody"),
            refund_amounts=[100, 0, 0, 200],
        )
        take_orders(work, orders, "shop")
        happened = EventColumns(["s1"], ["signup"], ["app"], [START + DAY], member("cleo"), amounts=[70])
        take_events(work, "app", happened)
    return made


def earned(work: Work, model: str, **question: Any) -> dict[str, tuple[float, float]]:
    run = attribute(work, model, {}, ask(question))
    return {row.channel: (row.conversions, row.value) for row in credits_of(work, run.id)}


def test_paid_orders_count_at_what_was_kept(runtime: Fairlead) -> None:
    with runtime.work("acme") as work:
        assert earned(work, "last_touch") == {"search": (1.0, 900.0), "mail": (1.0, 500.0)}
        assert earned(work, "linear") == {"mail": (1.5, 950.0), "search": (0.5, 450.0)}


def test_an_event_type_can_be_the_conversion(runtime: Fairlead) -> None:
    with runtime.work("acme") as work:
        assert earned(work, "last_touch", conversion="signup") == {"search": (1.0, 70.0), "mail": (0.0, 0.0)}


def test_the_span_bounds_conversions_and_the_lookback_touches(runtime: Fairlead) -> None:
    with runtime.work("acme") as work:
        assert earned(work, "last_touch", end=instant(2)).get("search", (0, 0))[0] == 0
        assert earned(work, "last_touch", start=instant(2), end=instant(2.5)) == earned(work, "last_touch")
        short = attribute(work, "linear", {}, ask({"lookback_days": 1}))
        assert {row.channel: row.conversions for row in credits_of(work, short.id)} == {"search": 1.0}
        assert short.summary["excludedConversions"]["no_touch"] >= 1
        assert short.summary["excludedTouches"]["outside_lookback"] >= 1


def instant(days: float) -> dt.datetime:
    return dt.datetime.fromtimestamp((START + days * DAY) / 1000, dt.UTC)


def some_orders(work: Work, paid: list[tuple[str, float, int]], currency: str = "CNY", channel: str = "till") -> None:
    """Paid orders: who, on which day, for how much."""
    amounts = [amount for _, _, amount in paid]
    at = [int(START + day * DAY) for _, day, _ in paid]
    columns = OrderColumns(
        source_ids=[f"{currency}{number}" for number in range(len(paid))],
        channels=[channel] * len(paid),
        statuses=["paid"] * len(paid),
        currencies=[currency] * len(paid),
        amounts=amounts,
        paid_amounts=amounts,
        placed_at=at,
        paid_at=at,
        changed_at=at,
        claims=member(*(who for who, _, _ in paid)),
        refund_amounts=[0] * len(paid),
    )
    take_orders(work, columns, "till")


@pytest.mark.parametrize("lookback", [None, 9])
def test_the_answers_to_two_halves_of_a_span_add_up(runtime: Fairlead, lookback: int | None) -> None:
    with runtime.work("acme") as work:
        ids, channels, at = ["h1", "h2", "h3"], ["mail", "search", "mail"], [0, 5, 7]
        columns = TouchColumns(ids, ["click"] * 3, channels, [START + day * DAY for day in at], member(*["dan"] * 3))
        take_touches(work, "log", columns)
        some_orders(work, [("dan", 1, 100), ("dan", 6, 40), ("dan", 8, 7)])

        first, second, whole = (
            earned(work, "linear", start=instant(start), end=instant(end), lookback_days=lookback)
            for start, end in ((0, 4), (4, 10), (0, 10))
        )
        assert second == {"search": (1.0, 40.0), "mail": (1.0, 7.0)}
        for channel, (conversions, value) in whole.items():
            halves = [part.get(channel, (0.0, 0.0)) for part in (first, second)]
            assert conversions == pytest.approx(sum(half[0] for half in halves))
            assert value == pytest.approx(sum(half[1] for half in halves))


def test_orders_in_another_currency_are_left_out_and_told(runtime: Fairlead) -> None:
    with runtime.work("acme") as work:
        before = earned(work, "linear")
        some_orders(work, [("cleo", 1, 9000), ("ann", 1.5, 70)], currency="USD")
        run = attribute(work, "linear", {}, ask({}))
        # What ann was shown before she paid in dollars was used up by that order.
        assert {row.channel: row.value for row in credits_of(work, run.id)} == {"mail": 500.0}
        assert before["mail"][1] + before["search"][1] == 1400.0
        assert run.summary["excludedConversions"] == {"no_touch": 2, "other_currency": 2}
        assert run.summary["null"] == 0


def test_an_event_with_a_negative_amount_is_worth_nothing(runtime: Fairlead) -> None:
    with runtime.work("acme") as work:
        happened = EventColumns(["s2"], ["signup"], ["app"], [START + 2 * DAY], member("bob"), amounts=[-30])
        take_events(work, "app", happened)
        assert earned(work, "last_touch", conversion="signup") == {"search": (1.0, 70.0), "mail": (1.0, 0.0)}


def test_a_span_of_one_day_reads_the_orders_of_that_day(runtime: Fairlead) -> None:
    asked = explained(runtime.database.engine, lambda statement: "FROM orders" in statement)
    with asked as plans, runtime.reading("acme") as work:
        read_paths(work, ask({"start": instant(2), "end": instant(3), "lookback_days": 1}))
    assert [step for _, step in steps_of(plans)] == [
        "SEARCH orders USING INDEX ix_orders_paid (client_id=? AND paid_at>? AND paid_at<?)"
    ]


def test_the_answer_is_kept_and_explains_itself(runtime: Fairlead) -> None:
    with runtime.work("acme") as work:
        run = attribute(work, "linear", {}, ask({}))
        assert run.conversions == run.summary["conversions"] == 2
        assert (run.summary["paths"], run.summary["converting"], run.summary["null"]) == (3, 2, 1)
        assert run.summary["excludedConversions"] == {"no_touch": 1}
        number = run.id
    with runtime.reading("acme") as work:
        kept = work.session.get_one(AttributionRun, number)
        assert (kept.model, kept.question["conversion"]) == ("linear", "order")
        paths = read_paths(work, ask({}))
        assert paths.summary.touches == 4


def test_a_merged_person_has_one_path_and_a_split_one_two(runtime: Fairlead) -> None:
    with runtime.work("acme") as work:
        ann, bob = link(work, member("ann", "bob"), "test").profile_ids.tolist()
        before = earned(work, "linear")
        merged = merge_profiles(work, [(ann, bob)], rule="test", evidence=[{}])[0]
        assert read_paths(work, ask({})).summary.paths == 2
        both = earned(work, "linear")
        assert both["mail"] == pytest.approx((4 / 3, 1400 * 2 / 3))
        assert both["search"] == pytest.approx((2 / 3, 1400 / 3))
        split_profile(work, merged.id)
        assert earned(work, "linear") == before


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ({"conversion": ""}, ("question", "conversion")),
        ({"lookback_days": 0}, ("question", "lookback_days")),
        ({"start": "2026-01-01T00:00:00"}, ("question", "start")),
        ({"colour": 1}, ("question", "colour")),
    ],
)
def test_a_wrong_question_is_told_by_its_path(question: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(Refusals) as refused:
        ask(question)
    assert [error.path for error in refused.value.errors] == [path]


def test_what_does_not_exist_is_told(runtime: Fairlead) -> None:
    with pytest.raises(InvalidInput):
        ask({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"})
    with runtime.work("acme") as work:
        for call in (
            lambda: attribute(work, "last_touch", {}, ask({"conversion": "moon landing"})),
            lambda: attribute(work, "horoscope", {}, ask({})),
        ):
            with pytest.raises(NotFound):
                call()
