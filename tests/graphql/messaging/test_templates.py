"""Templates in versions, previews that give nobody away, and the policy."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fairlead.customers.model import Consent, Profile

SAVE = """
mutation ($input: SaveTemplateInput!) {
  saveTemplate(input: $input) { template { id name number subject } errors { code path message } }
}
"""
LIST = '{ client(slug: "acme") { templates { totalCount nodes { name number text } } } }'
PREVIEW = """
query ($template: ID!, $profile: ID!) {
  client(slug: "acme") { previewTemplate(templateId: $template, profileId: $profile) { subject text html } }
}
"""
POLICY = """
{ client(slug: "acme") { messagingPolicy { quietFrom quietUntil caps { per limit purpose channel } } } }
"""
SET = """
mutation ($input: SetMessagingPolicyInput!) {
  setMessagingPolicy(input: $input) {
    policy { quietFrom quietUntil caps { per limit purpose channel } }
    errors { code path }
  }
}
"""


def save(world: Any, token: str = "operator@acme", **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = world.data(token, SAVE, input={"client": "acme", **given})["saveTemplate"]
    return found


def test_a_template_keeps_its_versions(world: Any) -> None:
    first = save(world, name="hello", subject="Hi", text="one")["template"]
    second = save(world, name="hello", subject="Hi", text="two")["template"]
    save(world, name="bye", html="<p>{{ client.name }}</p>")
    assert (first["number"], second["number"]) == (1, 2)
    assert first["id"] != second["id"]
    listed = world.data("analyst@acme", LIST)["client"]["templates"]
    assert listed["totalCount"] == 2
    assert [(one["name"], one["number"], one["text"]) for one in listed["nodes"]] == [
        ("bye", 1, ""),
        ("hello", 2, "two"),
    ]


def test_what_would_not_render_is_refused_with_its_place(world: Any) -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"text": "{{ customer.name }}"}, ["text"]),
        ({"text": "ok", "subject": "{% if %}"}, ["subject"]),
        ({"html": "{{ profile.name "}, ["html"]),
        ({}, ["text"]),
        ({"text": "ok", "name": " "}, ["name"]),
        ({"text": "ok", "name": "n" * 81}, ["name"]),
    ]
    for given, path in cases:
        refused = save(world, **{"name": "hello", **given})
        assert refused["template"] is None
        assert [(error["code"], error["path"]) for error in refused["errors"]] == [("BAD_USER_INPUT", path)], given
    assert world.data("analyst@acme", LIST)["client"]["templates"]["totalCount"] == 0


def test_a_preview_shows_nobodys_name_and_its_link_does_nothing(world: Any) -> None:
    number = world.profiles["acme"][0]
    with world.client_work("acme") as work:
        sealed = work.vault.seal(work.client_id, "profile.name", "王小明")
        work.session.execute(sa.update(Profile).where(Profile.id == number).values(name=sealed, region="440100"))
    text = "{{ profile.name }} {{ profile.region }} {{ unsubscribe_url }}"
    template = save(world, name="hello", subject="{{ profile.name }}", text=text, html="<b>{{ profile.name }}</b>")
    wanted = {"template": template["template"]["id"], "profile": world.gid("Profile", number)}
    for token in ("operator@acme", "admin"):
        shown = world.data(token, PREVIEW, **wanted)["client"]["previewTemplate"]
        assert shown["subject"] == "王**"
        assert shown["html"] == "<b>王**</b>"
        name, region, link = shown["text"].split(" ")
        assert (name, region) == ("王**", "440100")
        assert world.http.post("/u/" + link.rpartition("/u/")[2]).status_code == 404
    with world.runtime.reading(world.clients["acme"]) as work:
        assert work.session.scalars(sa.select(Consent.id).where(Consent.state == "withdrawn")).all() == []
    blind = world.add_token("blind", "client:read", "messages:read")
    assert world.codes(blind, PREVIEW, **wanted) == ["FORBIDDEN"]
    other = {**wanted, "profile": world.gid("Profile", world.profiles["bolt"][0])}
    assert world.codes("operator@acme", PREVIEW, **other) == ["NOT_FOUND"]


def test_the_policy_is_read_and_replaced(world: Any) -> None:
    before = world.data("analyst@acme", POLICY)["client"]["messagingPolicy"]
    assert (before["quietFrom"], before["quietUntil"]) == (21 * 60, 8 * 60)
    cap = {"per": "WEEK", "limit": 3, "purpose": "marketing", "channel": "*"}
    given = {"client": "acme", "quietFrom": 1320, "quietUntil": 540, "caps": [cap, {"per": "DAY", "limit": 1}]}
    wanted = {
        "quietFrom": 1320,
        "quietUntil": 540,
        "caps": [cap, {"per": "DAY", "limit": 1, "purpose": "*", "channel": "*"}],
    }
    assert world.data("operator@acme", SET, input=given)["setMessagingPolicy"] == {"policy": wanted, "errors": []}
    assert world.data("analyst@acme", POLICY)["client"]["messagingPolicy"] == wanted
    wrong = {**given, "quietFrom": 1440, "caps": [{"per": "DAY", "limit": 0}]}
    errors = world.data("operator@acme", SET, input=wrong)["setMessagingPolicy"]["errors"]
    assert [error["path"] for error in errors] == [["quietFrom"], ["caps", "0", "limit"]]
    assert world.data("analyst@acme", POLICY)["client"]["messagingPolicy"] == wanted
    assert world.codes("analyst@acme", SET, input=given) == ["FORBIDDEN"]
