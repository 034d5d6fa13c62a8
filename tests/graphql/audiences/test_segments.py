"""Segments: made, filled, looked into, explained, and never telling what a caller may not see."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fairlead.customers.model import Profile
from fairlead.journeys.model import Enrolment
from fairlead.workflows import hand_over_forgotten

CREATE = """
mutation ($input: CreateSegmentInput!) {
  createSegment(input: $input) {
    segment { id name title state rule headCount headCountIsExact refreshedAt }
    errors { code path message nextStep }
  }
}
"""
UPDATE = """
mutation ($input: UpdateSegmentInput!) {
  updateSegment(input: $input) { segment { title rule } errors { code path } }
}
"""
REFRESH = """
mutation ($input: SegmentInput!) {
  refreshSegment(input: $input) {
    job { id kind state result { name value } }
    segment { headCount refreshedAt }
    errors { code message }
  }
}
"""
ARCHIVE = "mutation ($input: SegmentInput!) { archiveSegment(input: $input) { segment { state } errors { code } } }"
LOOK = """
query ($name: String!, $first: Int = 20) {
  client(slug: "acme") {
    segment(name: $name) {
      headCount
      headCountIsExact
      members(first: $first) {
        nodes { since profile { id name identities { masked } } }
        pageInfo { hasNextPage endCursor }
      }
      changes(first: $first) { nodes { at entered profile { id } } }
    }
  }
}
"""
LIST = """
query ($first: Int!) {
  client(slug: "acme") {
    segments(first: $first) {
      totalCount
      nodes {
        name
        members(first: 2) { nodes { profile { name tags { name } } } }
        changes(first: 2) { nodes { entered profile { id } } }
      }
    }
  }
}
"""
EXPLAIN = """
query ($segment: ID!, $profile: ID!) {
  client(slug: "acme") {
    explainSegment(segmentId: $segment, profileId: $profile) { matched verdicts { path key matched asked seen } }
  }
}
"""
PREVIEW = (
    'query ($rule: RuleInput!) { client(slug: "acme") { previewSegment(rule: $rule) { headCount headCountIsExact } } }'
)

HAS_CART = {"fact": {"type": "cart", "where": [{"field": "item", "op": "IN", "value": ["item-0", "item-1"]}]}}


def create(world: Any, name: str, rule: dict[str, Any], token: str = "operator@acme", **more: Any) -> dict[str, Any]:
    given = {"client": "acme", "name": name, "rule": rule, **more}
    found: dict[str, Any] = world.data(token, CREATE, input=given)["createSegment"]
    return found


def refresh(world: Any, segment: str) -> dict[str, Any]:
    given = {"client": "acme", "segmentId": segment}
    found: dict[str, Any] = world.data("operator@acme", REFRESH, input=given)["refreshSegment"]
    return found


def test_a_segment_from_its_rule_to_its_members(world: Any) -> None:
    made = create(world, "carts", HAS_CART, title="In the cart")
    assert made["errors"] == []
    segment = made["segment"]
    assert (segment["name"], segment["title"], segment["state"]) == ("carts", "In the cart", "active")
    assert (segment["headCount"], segment["headCountIsExact"], segment["refreshedAt"]) == (0, True, None)
    assert segment["rule"] == {
        "fact": {"type": "cart", "where": [{"field": "item", "op": "in", "value": ["item-0", "item-1"]}]}
    }
    begun = refresh(world, segment["id"])
    assert (begun["job"]["state"], begun["job"]["kind"], begun["errors"]) == ("QUEUED", "audiences.refresh", [])
    world.engine.run_due()
    seen = world.data("admin@acme", LOOK, name="carts")["client"]["segment"]
    assert (seen["headCount"], seen["headCountIsExact"]) == (2, True)
    wanted = [world.gid("Profile", number) for number in world.profiles["acme"][:2]]
    assert [member["profile"]["id"] for member in seen["members"]["nodes"]] == wanted
    assert {change["profile"]["id"] for change in seen["changes"]["nodes"]} == set(wanted)
    assert all(change["entered"] for change in seen["changes"]["nodes"])
    assert "people.test" not in seen["members"]["nodes"][0]["profile"]["identities"][0]["masked"].split("@")[0]
    page = world.data("admin@acme", LOOK, name="carts", first=1)["client"]["segment"]["members"]
    assert (len(page["nodes"]), page["pageInfo"]["hasNextPage"]) == (1, True)
    assert world.data("admin@bolt", LOOK.replace("acme", "bolt"), name="carts")["client"]["segment"] is None


def test_without_an_engine_the_refresh_is_done_with_the_answer(world: Any) -> None:
    segment = create(world, "carts", HAS_CART)["segment"]["id"]
    world.runtime.engine = None
    done = refresh(world, segment)
    assert done["job"]["state"] == "DONE"
    assert {one["name"]: one["value"] for one in done["job"]["result"]} == {
        "entered": "below 10",
        "left": "below 10",
    }
    assert done["segment"]["refreshedAt"] is not None
    assert done["segment"]["headCount"] == 2


def test_a_refresh_that_the_engine_does_not_take_stays_queued(world: Any, clock: Any) -> None:
    segment = create(world, "carts", HAS_CART)["segment"]["id"]
    world.engine.stop()
    begun = refresh(world, segment)
    assert (begun["job"]["state"], begun["errors"]) == ("QUEUED", [])
    world.engine.start()
    clock.advance(minutes=2)
    assert hand_over_forgotten(world.runtime, world.engine) == 1
    world.engine.run_due()
    assert world.data("admin@acme", LOOK, name="carts")["client"]["segment"]["headCount"] == 2


def test_the_same_key_makes_one_segment_and_one_job(world: Any) -> None:
    first, again = (create(world, "carts", HAS_CART, idempotencyKey="k1") for _ in range(2))
    assert first == again
    given = {"client": "acme", "segmentId": first["segment"]["id"], "idempotencyKey": "k2"}
    jobs = {world.data("operator@acme", REFRESH, input=given)["refreshSegment"]["job"]["id"] for _ in range(2)}
    assert len(jobs) == 1
    world.engine.run_due()
    later = world.data("operator@acme", REFRESH, input=given)["refreshSegment"]["job"]
    assert (later["id"], later["state"]) == (*jobs, "DONE")


def test_refusals_name_their_place_and_change_nothing(world: Any) -> None:
    refused = create(world, "carts", {"all": [HAS_CART, {"segment": {"name": "nobody_made_it"}}]})
    assert refused["segment"] is None
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("NOT_FOUND", ["rule", "all", "1", "segment", "name"])
    ]
    assert create(world, "carts", HAS_CART)["errors"] == []
    assert create(world, "carts", HAS_CART)["errors"][0]["path"] == ["name"]
    assert create(world, " ", HAS_CART)["errors"][0]["path"] == ["name"]


def test_a_segment_in_use_is_not_archived(world: Any) -> None:
    carts = create(world, "carts", HAS_CART)["segment"]["id"]
    user = create(world, "not_carts", {"none": [{"segment": {"name": "carts"}}]})["segment"]["id"]
    archive = {"client": "acme", "segmentId": carts}
    assert world.codes("operator@acme", ARCHIVE, input=archive) == ["CONFLICT"]
    change = {"client": "acme", "segmentId": user, "rule": {"identity": {"kind": "email"}}, "title": "Mail"}
    updated = world.data("operator@acme", UPDATE, input=change)["updateSegment"]
    assert updated == {"segment": {"title": "Mail", "rule": {"identity": {"kind": "email"}}}, "errors": []}
    assert (
        world.data("operator@acme", ARCHIVE, input=archive)["archiveSegment"]["segment"]["state"] == "ARCHIVED".lower()
    )
    assert world.codes("operator@acme", REFRESH, input=archive) == ["CONFLICT"]
    loop = {"client": "acme", "segmentId": user, "rule": {"segment": {"name": "not_carts"}}}
    assert world.codes("operator@acme", UPDATE, input=loop) == ["CONFLICT"]


def test_an_explanation_reaches_every_condition(world: Any) -> None:
    create(world, "carts", HAS_CART)
    segment = create(world, "both", {"all": [{"segment": {"name": "carts"}}, {"tag": {"name": "vip"}}]})
    assert segment["errors"][0]["path"] == ["rule", "all", "1", "tag", "name"]
    segment = create(world, "both", {"all": [{"segment": {"name": "carts"}}, {"identity": {"kind": "email"}}]})[
        "segment"
    ]
    wanted = {"segment": segment["id"], "profile": world.gid("Profile", world.profiles["acme"][2])}
    found = world.data("analyst@acme", EXPLAIN, **wanted)["client"]["explainSegment"]
    assert found["matched"] is False
    assert [(one["path"], one["key"], one["matched"]) for one in found["verdicts"]] == [
        ("", "all", False),
        ("all.0.segment", "segment", False),
        ("all.0.segment.fact", "fact", False),
        ("all.1.identity", "identity", True),
    ]
    assert found["verdicts"][2]["seen"]["count"] == 0
    assert world.codes("admin@bolt", EXPLAIN.replace("acme", "bolt"), **wanted) == ["NOT_FOUND"]


# -- what is hidden -------------------------------------------------------------------------------------------------

AGED = {"attribute": {"name": "age", "op": "GTE", "value": 18}}


def test_what_a_role_may_not_see_it_may_not_ask_by(world: Any) -> None:
    blind = world.add_token("blind", "client:read", "segments:read", "segments:write")
    with world.client_work("acme") as work:
        work.session.execute(sa.update(Profile).values(gender="female"))
    hidden = [
        AGED,
        {"attribute": {"name": "birth_date", "op": "LT", "value": "2000-01-01"}},
        {"all": [HAS_CART, {"none": [{"attribute": {"name": "gender", "op": "EQ", "value": "female"}}]}]},
    ]
    for rule in hidden:
        assert world.codes(blind, PREVIEW, rule=rule) == ["FORBIDDEN"], rule
        (error,) = create(world, "oracle", rule, blind)["errors"]
        assert error["code"] == "FORBIDDEN"
        assert error["path"][-1] == "name"
    sealed = {"attribute": {"name": "phone", "op": "STARTS_WITH", "value": "138"}}
    assert world.codes("admin", PREVIEW, rule=sealed) == ["FORBIDDEN"]
    create(world, "adults", AGED)
    assert world.codes(blind, PREVIEW, rule={"segment": {"name": "adults"}}) == ["FORBIDDEN"]
    assert world.codes(blind, LOOK, name="adults") == ["FORBIDDEN"]


COUNTS = """
query($rule: RuleInput!, $name: String!) {
  client(slug: "acme") {
    previewSegment(rule: $rule) { headCount headCountIsExact }
    segments { nodes { headCount headCountIsExact } }
    tags { nodes { profileCount } }
    journeys { nodes { version { counts { people reachedGoal } } } }
    segment(name: $name) { headCount }
  }
}"""
LISTS = (
    '{ client(slug: "acme") { profiles { totalCount } } }',
    '{ client(slug: "acme") { segments { nodes { members { totalCount nodes { since } } } } } }',
    '{ client(slug: "acme") { segments { nodes { changes { totalCount nodes { at } } } } } }',
    '{ client(slug: "acme") { journeys { nodes { enrolments { totalCount nodes { id } } } } } }',
)


def numbers(found: Any) -> set[int]:
    if isinstance(found, dict | list):
        return set().union(*map(numbers, found.values() if isinstance(found, dict) else found))
    return {found} if type(found) is int else set()


def test_few_people_are_counted_only_for_those_who_may_list_them(seeded: Any) -> None:
    blind = seeded.add_token("blind", "client:read", "segments:read", "journeys:read")
    asked = {"rule": {"identity": {"kind": "email"}}, "name": "people-0"}
    for token in ("admin@acme", "analyst@acme", "operator"):
        seen = seeded.data(token, COUNTS, **asked)["client"]
        assert seen["previewSegment"] == {"headCount": 6, "headCountIsExact": True}
        assert 3 in numbers(seen["journeys"])
        assert 10 not in numbers(seen)
        assert all("errors" not in seeded.gql(token, query) for query in LISTS)
    seen = seeded.data(blind, COUNTS, **asked)["client"]
    assert seen["previewSegment"] == {"headCount": 10, "headCountIsExact": False}
    for part in seen.values():
        assert numbers(part) == {10}
    assert {code for query in LISTS for code in seeded.codes(blind, query)} == {"FORBIDDEN"}
    with seeded.runtime.reading(seeded.clients["acme"]) as work:
        enrolment = work.session.scalars(sa.select(Enrolment.id)).first()
    one = seeded.gid("Enrolment", enrolment)
    assert seeded.codes(blind, "query($id: ID!) { node(id: $id) { id } }", id=one) == ["FORBIDDEN"]
    nobody = {"rule": {"identity": {"kind": "wechat_openid"}}, "name": "people-0"}
    assert seeded.data(blind, COUNTS, **nobody)["client"]["previewSegment"]["headCount"] == 10


def test_a_longer_list_takes_no_more_statements(world: Any) -> None:
    for number in range(6):
        refresh(world, create(world, f"s{number}", HAS_CART)["segment"]["id"])
    world.engine.run_due()
    counts = []
    for first in (2, 6):
        with world.counting() as seen:
            found = world.data("admin@acme", LIST, first=first)["client"]["segments"]
        assert found["totalCount"] == 6
        assert [len(one["members"]["nodes"]) for one in found["nodes"]] == [2] * first
        counts.append(seen.number)
    assert counts[0] == counts[1]
