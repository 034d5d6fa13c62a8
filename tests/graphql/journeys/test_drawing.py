"""Drawing a journey: the catalogue of nodes, what is wrong with a graph, versions."""

from __future__ import annotations

from typing import Any

CATALOGUE = """
{
  client(slug: "acme") {
    journeyNodes { name title { zh en } description { zh en } plugin isTrigger outlets settingsSchema version }
  }
}
"""
VALIDATE = """
query ($graph: JourneyGraphInput!) {
  client(slug: "acme") { validateJourney(graph: $graph) { valid errors { code path message nextStep } } }
}
"""
CREATE = """
mutation ($input: CreateJourneyInput!) {
  createJourney(input: $input) {
    journey { id name title state activatedAt version { id number digest } }
    errors { code path message }
  }
}
"""
SAVE = """
mutation ($input: SaveJourneyVersionInput!) {
  saveJourneyVersion(input: $input) { journey { version { number } } errors { code path } }
}
"""
READ = """
query ($name: String!) {
  client(slug: "acme") {
    journey(name: $name) {
      state
      versions(first: 10) { nodes { number digest } }
      version {
        graph {
          nodes { id kind title settings position { x y } }
          edges { source outlet target priority }
          reentry { policy days }
          visitLimit
        }
      }
    }
  }
}
"""
LIST = """
query ($first: Int!) {
  client(slug: "acme") {
    journeys(first: $first, state: DRAFT) {
      totalCount
      nodes { name version { number counts { nodeId people } } versions(first: 2) { nodes { number } } }
    }
  }
}
"""

MAIL = {"identity": {"kind": "email"}}


def drawn(**changes: Any) -> dict[str, Any]:
    """A small journey: by hand, then a condition with an end on either side."""
    graph: dict[str, Any] = {
        "nodes": [
            {"id": "start", "kind": "trigger_manual", "position": {"x": 1.5, "y": -2}},
            {"id": "has_mail", "kind": "condition", "title": "有邮箱", "settings": {"rule": MAIL}},
            {"id": "end", "kind": "exit"},
        ],
        "edges": [
            {"source": "start", "target": "has_mail"},
            {"source": "has_mail", "outlet": "yes", "target": "end"},
            {"source": "has_mail", "outlet": "no", "target": "end", "priority": 2},
        ],
        "reentry": {"policy": "AFTER", "days": 30},
        "visitLimit": 50,
    }
    return {**graph, **changes}


def create(world: Any, name: str, token: str = "operator@acme", **changes: Any) -> dict[str, Any]:
    given = {"client": "acme", "name": name, "graph": drawn(**changes)}
    found: dict[str, Any] = world.data(token, CREATE, input=given)["createJourney"]
    return found


def test_the_catalogue_is_enough_to_draw_an_editor_from(world: Any) -> None:
    kinds = {kind["name"]: kind for kind in world.data("analyst@acme", CATALOGUE)["client"]["journeyNodes"]}
    assert {"trigger_segment", "trigger_event", "trigger_manual", "wait", "condition", "send", "goal", "exit"} <= set(
        kinds
    )
    assert [name for name, kind in kinds.items() if kind["isTrigger"]] == sorted(
        ("trigger_segment", "trigger_event", "trigger_manual")
    )
    assert kinds["condition"]["outlets"] == ["yes", "no"]
    assert kinds["goal"]["outlets"] == ["reached", "missed"]
    assert kinds["exit"]["outlets"] == []
    assert set(kinds["wait"]["settingsSchema"]["properties"]) == {"minutes", "hours", "days"}
    assert kinds["send"]["title"] == {"zh": "发送消息", "en": "Send"}
    assert all(kind["plugin"] is None for kind in kinds.values())


def test_a_journey_is_kept_as_it_was_drawn(world: Any) -> None:
    made = create(world, "welcome")
    assert made["errors"] == []
    journey = made["journey"]
    assert (journey["title"], journey["state"], journey["activatedAt"]) == ("welcome", "DRAFT", None)
    kept = world.data("analyst@acme", READ, name="welcome")["client"]["journey"]
    graph = kept["version"]["graph"]
    assert graph["nodes"][0] == {
        "id": "start",
        "kind": "trigger_manual",
        "title": "",
        "settings": {},
        "position": {"x": 1.5, "y": -2.0},
    }
    assert graph["nodes"][1]["settings"] == {"rule": MAIL}
    assert graph["edges"][2] == {"source": "has_mail", "outlet": "no", "target": "end", "priority": 2}
    assert (graph["reentry"], graph["visitLimit"]) == ({"policy": "AFTER", "days": 30}, 50)
    save = {"client": "acme", "journeyId": journey["id"], "graph": drawn(visitLimit=60)}
    assert world.data("operator@acme", SAVE, input=save)["saveJourneyVersion"]["journey"]["version"]["number"] == 2
    versions = world.data("analyst@acme", READ, name="welcome")["client"]["journey"]["versions"]["nodes"]
    assert [version["number"] for version in versions] == [2, 1]
    assert versions[1]["digest"] == journey["version"]["digest"] != versions[0]["digest"]


def test_every_problem_of_a_graph_names_its_node(world: Any) -> None:
    nodes = [
        {"id": "start", "kind": "trigger_segment", "settings": {"segment": "nobody_made_it"}},
        {"id": "wait_a_bit", "kind": "wait", "settings": {"minutes": -1}},
        {"id": "check", "kind": "condition", "settings": {"rule": {"all": [{"tag": {"name": "unheard_of"}}]}}},
        {"id": "broken", "kind": "condition", "settings": {"rule": {"all": []}}},
        {"id": "mail", "kind": "send", "settings": {"account": "nobody", "template": "nothing"}},
        {"id": "alone", "kind": "points_of_a_stranger"},
        {"id": "end", "kind": "exit"},
    ]
    edges = [
        {"source": "start", "target": "wait_a_bit"},
        {"source": "wait_a_bit", "target": "check"},
        {"source": "check", "outlet": "yes", "target": "mail"},
        {"source": "check", "outlet": "maybe", "target": "broken"},
        {"source": "mail", "target": "end"},
    ]
    answer = world.data("operator@acme", VALIDATE, graph={"nodes": nodes, "edges": edges})["client"]["validateJourney"]
    assert answer["valid"] is False
    found = {(error["path"][2], ".".join(error["path"][3:])) for error in answer["errors"]}
    assert {
        ("start", "settings.segment"),
        ("wait_a_bit", "settings.minutes"),
        ("check", "settings.rule.all.0.tag.name"),
        ("broken", "settings.rule.all"),
        ("mail", "settings.account"),
        ("alone", "kind"),
        ("alone", ""),
        ("check", ""),
    } <= found
    assert all(error["message"] and error["path"][:2] == ["graph", "nodes"] for error in answer["errors"])
    refused = create(world, "broken", nodes=nodes, edges=edges)
    assert refused["journey"] is None
    assert len(refused["errors"]) == len(answer["errors"])
    assert world.data("operator@acme", VALIDATE, graph=drawn())["client"]["validateJourney"] == {
        "valid": True,
        "errors": [],
    }


def test_a_condition_is_no_way_round_what_is_hidden(world: Any) -> None:
    blind = world.add_token("blind", "client:read", "journeys:read", "journeys:write")
    rule = {"none": [{"attribute": {"name": "age", "op": "lt", "value": 18}}]}
    nodes = [*drawn()["nodes"]]
    nodes[1] = {"id": "has_mail", "kind": "condition", "settings": {"rule": rule}}
    (error,) = world.data(blind, VALIDATE, graph=drawn(nodes=nodes))["client"]["validateJourney"]["errors"]
    assert error["code"] == "FORBIDDEN"
    assert error["path"] == ["graph", "nodes", "has_mail", "settings", "rule", "none", "0", "attribute", "name"]
    assert create(world, "oracle", blind, nodes=nodes)["errors"][0]["code"] == "FORBIDDEN"
    assert create(world, "fine", nodes=nodes)["errors"] == []


def test_a_longer_list_takes_no_more_statements(world: Any) -> None:
    for number in range(6):
        assert create(world, f"j{number}")["errors"] == []
    counts = []
    for first in (2, 6):
        with world.counting() as seen:
            found = world.data("analyst@acme", LIST, first=first)["client"]["journeys"]
        assert found["totalCount"] == 6
        assert len(found["nodes"]) == first
        counts.append(seen.number)
    assert counts[0] == counts[1]
