"""Attribution: one question to several models, answers that add up and say what they left out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

MODELS = '{ client(slug: "acme") { attributionModels { name title { zh en } plugin settingsSchema } } }'
RUN = """
mutation ($input: RunAttributionInput!) {
  runAttribution(input: $input) {
    job { id state total result { name value } }
    runs { id model conversions }
    errors { code path message }
  }
}
"""
RUNS = """
query ($model: String, $first: Int = 20) {
  client(slug: "acme") {
    attributionRuns(model: $model, first: $first) {
      totalCount
      nodes {
        id model settings computedAt conversions
        value { amount currency }
        question { conversion start end lookbackDays }
        summary {
          paths converting null touches conversions
          excludedConversions { reason count }
          excludedTouches { reason count }
        }
        credits { channel touches conversions value { amount currency } details { name value } }
      }
    }
  }
}
"""

BOTH = [{"name": "last_touch"}, {"name": "linear", "settings": {}}]


def run(world: Any, token: str = "analyst@acme", **given: Any) -> dict[str, Any]:
    data = world.data(token, RUN, input={"client": "acme", "question": {}, "models": BOTH, **given})
    found: dict[str, Any] = data["runAttribution"]
    return found


def test_the_models_that_are_on_say_what_they_take(world: Any) -> None:
    models = world.data("analyst@acme", MODELS)["client"]["attributionModels"]
    assert [model["name"] for model in models] == ["last_touch", "linear"]
    assert all(model["settingsSchema"]["type"] == "object" and model["title"]["zh"] for model in models)
    assert world.data("analyst@bolt", MODELS.replace("acme", "bolt"))["client"]["attributionModels"] == []


def test_one_question_to_several_models(world: Any) -> None:
    begun = run(world, question={"lookbackDays": 30})
    assert (begun["job"]["state"], begun["job"]["total"], begun["runs"], begun["errors"]) == ("QUEUED", 2, [], [])
    world.engine.run_due()
    found = world.data("analyst@acme", RUNS)["client"]["attributionRuns"]
    assert found["totalCount"] == 2
    assert [one["model"] for one in found["nodes"]] == ["linear", "last_touch"]
    for one in found["nodes"]:
        assert one["question"] == {"conversion": "order", "start": None, "end": None, "lookbackDays": 30}
        assert one["summary"] == {
            "paths": 3,
            "converting": 3,
            "null": 0,
            "touches": 3,
            "conversions": 3,
            "excludedConversions": [{"reason": "no_touch", "count": 0}],
            "excludedTouches": [{"reason": "no_channel", "count": 0}, {"reason": "outside_lookback", "count": 0}],
        }
        assert (one["conversions"], one["value"]) == (3.0, {"amount": "30.03", "currency": "CNY"})
        (credit,) = one["credits"]
        assert (credit["channel"], credit["touches"], credit["conversions"]) == ("ads", 3, 3.0)
        assert Decimal(credit["value"]["amount"]) == Decimal("30.03")
    only = world.data("analyst@acme", RUNS, model="linear")["client"]["attributionRuns"]
    assert [one["model"] for one in only["nodes"]] == ["linear"]


def test_what_has_no_touch_is_left_out_and_said_so(world: Any) -> None:
    world.runtime.engine = None
    asked = {"conversion": "view", "lookbackDays": 1}
    done = run(world, question=asked)
    assert (done["job"]["state"], len(done["runs"])) == ("DONE", 2)
    assert [one["model"] for one in done["runs"]] == ["last_touch", "linear"]
    node = world.data("analyst@acme", RUNS, first=1)["client"]["attributionRuns"]["nodes"][0]
    assert node["id"] == done["runs"][1]["id"]
    assert node["summary"]["conversions"] == 3
    span = {"conversion": "order", "start": "2030-01-01T00:00:00Z", "end": "2030-02-01T00:00:00+08:00"}
    run(world, question=span)
    node = world.data("analyst@acme", RUNS, first=1)["client"]["attributionRuns"]["nodes"][0]
    assert (node["conversions"], node["value"]["amount"], node["summary"]["converting"]) == (0.0, "0.00", 0)
    assert node["question"]["end"].startswith(("2030-02-01T00:00:00", "2030-01-31T16:00:00"))


def test_what_is_wrong_is_told_before_anything_runs(world: Any) -> None:
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"models": []}, "BAD_USER_INPUT", ["models"]),
        ({"models": [{"name": "last_touch"}, {"name": "unheard_of"}]}, "NOT_FOUND", ["models", "1", "name"]),
        (
            {"models": [{"name": "linear", "settings": {"half_life": 3}}]},
            "BAD_USER_INPUT",
            ["models", "0", "settings", "half_life"],
        ),
        ({"models": [{"name": "linear", "settings": [1]}]}, "BAD_USER_INPUT", ["models", "0", "settings"]),
        ({"question": {"conversion": "nobody_did"}}, "NOT_FOUND", ["question", "conversion"]),
        ({"question": {"lookbackDays": 0}}, "BAD_USER_INPUT", ["question", "lookbackDays"]),
        (
            {"question": {"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
            "BAD_USER_INPUT",
            ["question", "end"],
        ),
        ({"question": {"start": "2026-02-01T00:00:00"}}, "BAD_USER_INPUT", ["question", "start"]),
    ]
    for given, code, path in cases:
        refused = run(world, **given)
        assert (refused["job"], refused["runs"]) == (None, None)
        assert [(error["code"], error["path"]) for error in refused["errors"]] == [(code, path)], given
    assert world.data("analyst@acme", RUNS)["client"]["attributionRuns"]["totalCount"] == 0
    off = {"client": "bolt", "question": {}, "models": BOTH}
    assert world.codes("analyst@bolt", RUN, input=off) == ["PLUGIN_OFF"]
    assert world.codes("approver@acme", RUN, input={**off, "client": "acme"}) == ["FORBIDDEN"]


def test_the_same_key_asks_once(world: Any) -> None:
    jobs = {run(world, idempotencyKey="k")["job"]["id"] for _ in range(2)}
    world.engine.run_due()
    again = run(world, idempotencyKey="k")
    assert {again["job"]["id"]} == jobs
    assert [one["model"] for one in again["runs"]] == ["last_touch", "linear"]
    assert world.data("analyst@acme", RUNS)["client"]["attributionRuns"]["totalCount"] == 2


def test_a_longer_list_takes_no_more_statements(world: Any) -> None:
    world.runtime.engine = None
    run(world)
    run(world)
    counts = []
    for first in (1, 4):
        with world.counting() as seen:
            nodes = world.data("analyst@acme", RUNS, first=first)["client"]["attributionRuns"]["nodes"]
        assert len(nodes) == first
        counts.append(seen.number)
    assert counts[0] == counts[1]
