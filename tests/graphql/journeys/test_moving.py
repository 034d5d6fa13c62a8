"""A journey from activation to its end: who is where, what was decided, what was sent."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fairlead.customers.consent import grant
from fairlead.messaging.templates import save_template

CREATE = "mutation ($input: CreateJourneyInput!) { createJourney(input: $input) { journey { id } errors { path } } }"
MOVE = """
mutation ($input: JourneyInput!) {
  VERB(input: $input) { journey { state activatedAt } errors { code path } }
}
"""
ENROL = """
mutation ($input: EnrolProfilesInput!) {
  enrolProfiles(input: $input) { enrolled journey { state } errors { code path } }
}
"""
SAVE = "mutation ($input: SaveJourneyVersionInput!) { saveJourneyVersion(input: $input) { errors { code } } }"
READ = """
query ($state: EnrolmentState, $first: Int = 20) {
  client(slug: "acme") {
    journey(name: "welcome") {
      version { counts { nodeId state people reachedGoal } }
      enrolments(state: $state, first: $first) {
        nodes {
          nodeId state dueAt enrolledAt finishedAt goalAt
          profile { id name }
          journey { name }
          version { number }
          steps { number nodeId outlet }
        }
      }
    }
  }
}
"""
OF_PROFILES = """
query ($first: Int!) {
  client(slug: "acme") {
    profiles(first: $first) {
      nodes {
        enrolments(first: 2) { nodes { nodeId state journey { name } profile { id } } }
        messages(first: 2) { nodes { state nodeId template { name } } }
      }
    }
  }
}
"""

GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "start", "kind": "trigger_manual"},
        {"id": "pause", "kind": "wait", "settings": {"minutes": 1}},
        {"id": "ordered", "kind": "goal", "settings": {"rule": {"order": {}}, "days": 0}},
        {"id": "mail", "kind": "send", "settings": {"account": "out", "template": "hello"}},
        {"id": "end", "kind": "exit"},
    ],
    "edges": [
        {"source": "start", "target": "pause"},
        {"source": "pause", "target": "ordered"},
        {"source": "ordered", "outlet": "reached", "target": "mail"},
        {"source": "ordered", "outlet": "missed", "target": "end"},
        {"source": "mail", "target": "end"},
    ],
    "reentry": {"policy": "ONCE"},
}


def prepare(world: Any) -> str:
    """The journey, its template and everybody's consent; its id."""
    with world.client_work("acme") as work:
        save_template(work, "hello", subject="您好", text="{{ profile.name }}")
        for number in world.profiles["acme"]:
            grant(work, number, "marketing", "*", source="test", text_version="1", evidence={})
    given = {"client": "acme", "name": "welcome", "graph": GRAPH}
    made = world.data("operator@acme", CREATE, input=given)["createJourney"]
    assert made["errors"] == []
    return str(made["journey"]["id"])


def move(world: Any, verb: str, journey: str, token: str = "operator@acme") -> dict[str, Any]:
    found: dict[str, Any] = world.data(
        token, MOVE.replace("VERB", verb), input={"client": "acme", "journeyId": journey}
    )
    return found[verb]  # type: ignore[no-any-return]


def enrol(world: Any, journey: str, numbers: list[int]) -> dict[str, Any]:
    people = [world.gid("Profile", number) for number in numbers]
    given = {"client": "acme", "journeyId": journey, "profileIds": people}
    found: dict[str, Any] = world.data("operator@acme", ENROL, input=given)["enrolProfiles"]
    return found


def run(world: Any, **later: float) -> None:
    """Let time pass for everybody, and the engine do what is due."""
    world.clock.advance(**later)
    world.engine.run_due(world.clock())


def test_people_move_at_once_and_then_by_the_clock(world: Any) -> None:
    journey = prepare(world)
    people = world.profiles["acme"]
    assert enrol(world, journey, people)["errors"] == [{"code": "CONFLICT", "path": ["journeyId"]}]
    assert move(world, "activateJourney", journey)["journey"]["state"] == "ACTIVE"
    assert enrol(world, journey, people)["enrolled"] == 3
    assert enrol(world, journey, people)["enrolled"] == 0, "once is once"
    run(world)
    seen = world.data("analyst@acme", READ)["client"]["journey"]
    assert seen["version"]["counts"] == [{"nodeId": "pause", "state": "ACTIVE", "people": 3, "reachedGoal": 0}]
    first = seen["enrolments"]["nodes"][0]
    assert (first["nodeId"], first["state"], first["journey"]["name"]) == ("pause", "ACTIVE", "welcome")
    assert [(step["number"], step["nodeId"], step["outlet"]) for step in first["steps"]] == [(0, "start", "next")]
    waited = dt.datetime.fromisoformat(first["dueAt"]) - dt.datetime.fromisoformat(first["enrolledAt"])
    assert waited == dt.timedelta(minutes=1)
    run(world, minutes=1)
    seen = world.data("analyst@acme", READ)["client"]["journey"]
    assert seen["version"]["counts"] == [{"nodeId": "end", "state": "FINISHED", "people": 3, "reachedGoal": 3}]
    last = seen["enrolments"]["nodes"][2]
    assert [step["nodeId"] for step in last["steps"]] == ["start", "pause", "ordered", "mail", "end"]
    assert last["goalAt"] is not None
    assert last["profile"]["id"] == world.gid("Profile", people[2])
    assert world.data("analyst@acme", READ, state="ACTIVE")["client"]["journey"]["enrolments"]["nodes"] == []
    of_profile = world.data("analyst@acme", OF_PROFILES, first=3)["client"]["profiles"]["nodes"][0]
    assert of_profile["enrolments"]["nodes"][0]["journey"]["name"] == "welcome"
    assert of_profile["messages"]["nodes"] == [{"state": "SENT", "nodeId": "mail", "template": {"name": "hello"}}]


def test_a_paused_journey_moves_nobody_and_an_archived_one_lets_go(world: Any) -> None:
    journey = prepare(world)
    move(world, "activateJourney", journey)
    enrol(world, journey, world.profiles["acme"])
    run(world)
    assert move(world, "pauseJourney", journey)["journey"]["state"] == "PAUSED"
    assert move(world, "pauseJourney", journey)["errors"] == [{"code": "CONFLICT", "path": ["journeyId"]}]
    run(world, minutes=2)
    assert world.data("analyst@acme", READ)["client"]["journey"]["version"]["counts"][0]["nodeId"] == "pause"
    assert move(world, "archiveJourney", journey)["journey"]["state"] == "ARCHIVED"
    (count,) = world.data("analyst@acme", READ)["client"]["journey"]["version"]["counts"]
    assert (count["state"], count["people"]) == ("EXITED", 3)
    assert move(world, "activateJourney", journey)["errors"] == [{"code": "CONFLICT", "path": ["journeyId"]}]


def test_a_running_journey_is_changed_only_by_who_may_activate(world: Any) -> None:
    writer = world.add_token("writer", "client:read", "journeys:read", "journeys:write")
    journey = prepare(world)
    save = {"client": "acme", "journeyId": journey, "graph": GRAPH}
    assert world.codes(writer, SAVE, input=save) == []
    move(world, "activateJourney", journey)
    assert world.codes(writer, SAVE, input=save) == ["FORBIDDEN"]
    assert world.codes("operator@acme", SAVE, input=save) == []


def test_who_is_in_a_journey_needs_the_permission_to_see_people(world: Any) -> None:
    blind = world.add_token("blind", "client:read", "journeys:read")
    journey = prepare(world)
    move(world, "activateJourney", journey)
    enrol(world, journey, world.profiles["acme"])
    answer = world.gql(blind, READ)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}
    assert answer["data"]["client"]["journey"] is None


def test_more_people_take_no_more_statements(world: Any) -> None:
    journey = prepare(world)
    move(world, "activateJourney", journey)
    enrol(world, journey, world.profiles["acme"])
    run(world)
    for query, page in ((READ, "enrolments"), (OF_PROFILES, "profiles")):
        counts = []
        for first in (2, 3):
            with world.counting() as seen:
                client = world.data("admin@acme", query, first=first)["client"]
            assert len((client.get("journey") or client)[page]["nodes"]) == first
            counts.append(seen.number)
        assert counts[0] == counts[1]


def test_a_lost_nudge_is_no_failure(world: Any) -> None:
    journey = prepare(world)
    world.engine.stop()
    assert move(world, "activateJourney", journey)["errors"] == []
    assert enrol(world, journey, world.profiles["acme"])["enrolled"] == 3
