"""Tags on two levels, by hand and by rule; scores by a plugin's scheme."""

from __future__ import annotations

from typing import Any

CREATE = """
mutation ($input: CreateTagInput!) {
  createTag(input: $input) { tag { id name level origin rule parent { name } } errors { code path } }
}
"""
PUT_ON = """
mutation ($input: TagProfilesInput!) {
  tagProfiles(input: $input) { tag { name profileCount } added removed errors { code path } }
}
"""
TAKE_OFF = PUT_ON.replace("tagProfiles(", "untagProfiles(")
REFRESH = """
mutation ($input: RefreshTagInput!) { refreshTag(input: $input) { added removed errors { code } } }
"""
TAGS = """
query ($first: Int!) {
  client(slug: "acme") { tags(first: $first) { nodes { name level profileCount parent { name } } } }
}
"""
SCHEMES = """
{ client(slug: "acme") { scoringSchemes { name title { zh en } description { en } version plugin settingsSchema } } }
"""
SCORE = """
mutation ($input: RunScoringInput!) {
  runScoring(input: $input) { job { state message result { name value } } errors { code path message } }
}
"""
FILL = "mutation ($input: SetPluginSettingsInput!) { setPluginSettings(input: $input) { errors { code } } }"
SCORES = '{ client(slug: "acme") { profiles { nodes { scores { scheme value parts } } } } }'


def create(world: Any, name: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = world.data("operator@acme", CREATE, input={"client": "acme", "name": name, **more})
    return found["createTag"]  # type: ignore[no-any-return]


def test_tags_are_put_on_and_taken_off(world: Any) -> None:
    top = create(world, "level")["tag"]
    gold = create(world, "gold", parentId=top["id"], note="many orders", owner="Li")["tag"]
    assert (gold["level"], gold["parent"], gold["origin"]) == (2, {"name": "level"}, "manual")
    assert create(world, "deeper", parentId=gold["id"])["errors"][0]["path"] == ["parentId"]
    people = [world.gid("Profile", number) for number in world.profiles["acme"]]
    given = {"client": "acme", "tagId": gold["id"], "profileIds": people[:2]}
    put_on = world.data("admin@acme", PUT_ON, input=given)["tagProfiles"]
    assert put_on == {"tag": {"name": "gold", "profileCount": 2}, "added": 2, "removed": 0, "errors": []}
    assert world.data("operator@acme", PUT_ON, input={**given, "profileIds": people})["tagProfiles"]["added"] == 1
    by_rule = {"client": "acme", "tagId": gold["id"], "rule": {"identity": {"kind": "email"}}}
    assert world.data("admin@acme", TAKE_OFF, input=by_rule)["untagProfiles"]["removed"] == 3
    assert world.data("operator@acme", PUT_ON, input=by_rule)["tagProfiles"]["added"] == 3
    stranger = world.gid("Profile", world.profiles["bolt"][0])
    assert world.data("admin@acme", PUT_ON, input={**given, "profileIds": [stranger]})["tagProfiles"]["added"] == 0


def test_what_a_tag_is_given_is_checked(world: Any) -> None:
    tag = create(world, "gold")["tag"]["id"]
    given = {"client": "acme", "tagId": tag}
    assert world.codes("operator@acme", PUT_ON, input=given) == ["BAD_USER_INPUT"]
    both = {**given, "profileIds": [], "rule": {"identity": {"kind": "email"}}}
    assert world.codes("operator@acme", PUT_ON, input=both) == ["BAD_USER_INPUT"]
    wrong = world.data("operator@acme", PUT_ON, input={**given, "profileIds": [tag]})["tagProfiles"]
    assert wrong["errors"] == [{"code": "BAD_USER_INPUT", "path": ["profileIds", "0"]}]
    unknown = {**given, "rule": {"segment": {"name": "nobody_made_it"}}}
    assert world.data("operator@acme", PUT_ON, input=unknown)["tagProfiles"]["errors"][0]["path"][:2] == [
        "rule",
        "segment",
    ]
    assert world.codes("analyst@acme", PUT_ON, input=given) == ["FORBIDDEN"]


def test_a_tag_with_a_rule_decides_by_itself(world: Any) -> None:
    by_rule = create(world, "mail", rule={"identity": {"kind": "email"}})["tag"]
    assert (by_rule["origin"], by_rule["rule"]) == ("rule", {"identity": {"kind": "email"}})
    given = {"client": "acme", "tagId": by_rule["id"]}
    assert world.data("admin@acme", REFRESH, input=given)["refreshTag"] == {"added": 3, "removed": 0, "errors": []}
    by_hand = {"client": "acme", "tagId": create(world, "hand")["tag"]["id"]}
    assert world.codes("admin@acme", REFRESH, input=by_hand) == ["CONFLICT"]


def test_a_longer_list_of_tags_takes_no_more_statements(world: Any) -> None:
    top = create(world, "top")["tag"]["id"]
    for number in range(5):
        create(world, f"below {number}", parentId=top)
    counts = []
    for first in (2, 6):
        with world.counting() as seen:
            nodes = world.data("admin@acme", TAGS, first=first)["client"]["tags"]["nodes"]
        assert len(nodes) == first
        counts.append(seen.number)
    assert counts[0] == counts[1]
    assert nodes[0] == {"name": "below 0", "level": 2, "profileCount": 0, "parent": {"name": "top"}}


def test_scores_are_run_as_a_job_and_read_with_their_parts(world: Any) -> None:
    (scheme,) = world.data("analyst@acme", SCHEMES)["client"]["scoringSchemes"]
    assert (scheme["name"], scheme["plugin"]) == ("weighted", "weighted")
    assert scheme["title"]["zh"]
    assert scheme["settingsSchema"]["type"] == "object"
    item = {"name": "carts", "kind": "event", "key": "cart", "points": 7}
    settings = {"dimensions": [{"name": "deeds", "weight": 100, "items": [item]}]}
    given = {"client": "acme", "scheme": "weighted", "settings": settings}
    begun = world.data("analyst@acme", SCORE, input=given)["runScoring"]
    assert (begun["job"]["state"], begun["errors"]) == ("QUEUED", [])
    world.engine.run_due()
    for profile in world.data("analyst@acme", SCORES)["client"]["profiles"]["nodes"]:
        (score,) = profile["scores"]
        assert (score["scheme"], score["value"]) == ("weighted", 7.0)
        assert score["parts"]
    world.runtime.engine = None
    done = world.data("analyst@acme", SCORE, input=given)["runScoring"]["job"]
    assert done["state"] == "DONE"
    assert {one["name"]: one["value"] for one in done["result"]}["profiles"] == "3"


def test_a_run_begins_from_the_settings_saved_for_the_client(world: Any) -> None:
    world.runtime.engine = None
    given = {"client": "acme", "scheme": "weighted"}
    item = {"name": "carts", "kind": "event", "key": "cart", "points": 7}
    saved = {"dimensions": [{"name": "deeds", "weight": 100, "items": [item]}]}
    form = {"client": "acme", "kind": "SCORING_SCHEME", "name": "weighted", "settings": saved}
    assert world.codes("admin@acme", FILL, input=form) == []

    def scored(**settings: Any) -> float:
        assert world.data("analyst@acme", SCORE, input=given | settings)["runScoring"]["job"]["state"] == "DONE"
        return float(world.data("analyst@acme", SCORES)["client"]["profiles"]["nodes"][0]["scores"][0]["value"])

    assert scored() == 7
    assert scored(settings={}) == 0, "what is asked for comes first"
    assert scored(settings=None) == 7


def test_a_score_is_no_way_round_what_is_hidden(world: Any) -> None:
    blind = world.add_token("blind", "client:read", "segments:read", "segments:write")
    item = {"name": "old", "kind": "attribute", "key": "age", "points": 1}
    settings = {"dimensions": [{"name": "deeds", "weight": 100, "items": [item]}]}
    given = {"client": "acme", "scheme": "weighted", "settings": settings}
    assert world.codes(blind, SCORE, input=given) == ["FORBIDDEN"]
    assert world.codes("analyst@acme", SCORE, input=given) == []
    bad = {**given, "settings": {"dimensions": [{"name": "deeds", "weight": 1, "items": []}]}}
    errors = world.data("analyst@acme", SCORE, input=bad)["runScoring"]["errors"]
    assert errors[0]["path"][:3] == ["settings", "dimensions", "0"]
    assert world.codes("analyst@acme", SCORE, input={**given, "scheme": "unheard_of"}) == ["NOT_FOUND"]
    off = {**given, "client": "bolt"}
    assert world.codes("analyst@bolt", SCORE, input=off) == ["PLUGIN_OFF"]
