"""The catalogue of plugins, and what a client has switched on and filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

THING = "thing { kind name settingsSchema } settings problems { code path }"
CATALOGUE = """{
  agency { plugins { totalCount nodes {
    name distribution version state error hooks
    things { kind name version title { zh en } description { zh en } capabilities settingsSchema
      quality { rule state } region docs }
  } } }
}"""
PLUGINS = f"""
query($slug: String!) {{
  client(slug: $slug) {{ plugins {{ nodes {{ name enabled installed state things {{ {THING} }} }} }} }}
}}"""
FORMS = '{ client(slug: "acme") { plugins { nodes { name things { settings } } } } }'
SET = """
mutation($input: SetPluginInput!) {
  setPlugin(input: $input) { plugin { name enabled things { settings } } errors { code path nextStep } }
}"""
FILL = f"""
mutation($input: SetPluginSettingsInput!) {{
  setPluginSettings(input: $input) {{ thing {{ {THING} }} errors {{ code path }} }}
}}"""


def plugins(world: Any, token: str, slug: str) -> dict[str, Any]:
    nodes = world.data(token, PLUGINS, slug=slug)["client"]["plugins"]["nodes"]
    return {node["name"]: node for node in nodes}


def test_the_catalogue_tells_what_is_installed(world: Any) -> None:
    nodes = world.data("admin", CATALOGUE)["agency"]["plugins"]["nodes"]
    assert [node["name"] for node in nodes] == ["ad_law", "console", "last_touch", "linear", "shop", "weighted"]
    shop = nodes[4]
    assert (shop["state"], shop["error"]) == ("on", None)
    assert "fairlead_register_channels" in shop["hooks"]
    thing = shop["things"][0]
    assert (thing["kind"], thing["title"]) == ("CHANNEL", {"zh": "店铺", "en": "Shop"})
    assert thing["capabilities"] == ["credentials", "orders"]
    secret = thing["settingsSchema"]["properties"]["token"]
    assert (secret["secret"], secret["writeOnly"]) == (True, True)
    assert {"rule": "idempotency", "state": "done"} in nodes[1]["things"][0]["quality"]


def test_a_plugin_that_failed_is_in_the_catalogue_with_its_reason(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = world.runtime.plugins.statuses()
    broken = replace(statuses[0], name="broken", state="failed", reason="ImportError: no module", things=())
    monkeypatch.setattr(type(world.runtime.plugins), "statuses", lambda self: (broken, *statuses))
    nodes = world.data("admin", CATALOGUE)["agency"]["plugins"]["nodes"]
    assert (nodes[0]["name"], nodes[0]["state"], nodes[0]["error"]) == ("broken", "failed", "ImportError: no module")


def test_each_client_has_its_own_set(world: Any) -> None:
    acme, bolt = plugins(world, "operator@acme", "acme"), plugins(world, "operator@bolt", "bolt")
    assert sorted(acme) == sorted(bolt) == ["ad_law", "console", "last_touch", "linear", "shop", "weighted"]
    assert acme["linear"]["enabled"]
    assert not bolt["linear"]["enabled"]
    assert bolt["linear"]["things"][0]["settings"] is None
    assert acme["shop"]["things"][0]["settings"] is None
    assert acme["weighted"]["things"][0] | {"thing": None} == {"thing": None, "settings": {}, "problems": []}


def test_switching_holds_at_once_and_for_one_client(world: Any) -> None:
    on = {"client": "bolt", "plugin": "linear", "enabled": True}
    changed = world.data("admin@bolt", SET, input=on)["setPlugin"]
    assert changed == {"plugin": {"name": "linear", "enabled": True, "things": [{"settings": {}}]}, "errors": []}
    assert plugins(world, "operator@bolt", "bolt")["linear"]["enabled"]
    world.data("admin@bolt", SET, input=on | {"enabled": False})
    assert not plugins(world, "operator@bolt", "bolt")["linear"]["enabled"]
    assert plugins(world, "operator@acme", "acme")["linear"]["enabled"]


def test_what_is_not_installed_cannot_be_switched_on(world: Any) -> None:
    answer = world.data("admin@acme", SET, input={"client": "acme", "plugin": "nothing", "enabled": True})
    payload = answer["setPlugin"]
    assert payload["plugin"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("NOT_FOUND", ["plugin"])]
    assert payload["errors"][0]["nextStep"]


def test_a_form_is_checked_kept_and_shown(world: Any) -> None:
    given = {"client": "acme", "kind": "SCORING_SCHEME", "name": "weighted"}
    filled = world.data("admin@acme", FILL, input=given | {"settings": {"rounding": "half_up"}})["setPluginSettings"]
    assert filled["errors"] == []
    assert filled["thing"]["settings"] == {"rounding": "half_up"}
    assert plugins(world, "operator@acme", "acme")["weighted"]["things"][0]["settings"] == {"rounding": "half_up"}
    refused = world.data("admin@acme", FILL, input=given | {"settings": {"rounding": "up"}})["setPluginSettings"]
    assert refused["thing"] is None
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("BAD_USER_INPUT", ["settings", "rounding"])
    ]
    assert plugins(world, "operator@acme", "acme")["weighted"]["things"][0]["settings"] == {"rounding": "half_up"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"kind": "ATTRIBUTION_MODEL", "name": "linear", "client": "bolt", "settings": {}}, "PLUGIN_OFF"),
        ({"kind": "ATTRIBUTION_MODEL", "name": "other", "client": "acme", "settings": {}}, "NOT_FOUND"),
        ({"kind": "CHANNEL", "name": "shop", "client": "acme", "settings": {}}, "BAD_USER_INPUT"),
        ({"kind": "SCORING_SCHEME", "name": "weighted", "client": "acme", "settings": [1]}, "BAD_USER_INPUT"),
    ],
)
def test_a_form_that_cannot_be_filled_in(world: Any, given: dict[str, Any], code: str) -> None:
    assert world.codes("admin", FILL, input=given) == [code]


def test_the_same_key_switches_once(world: Any) -> None:
    given = {"client": "bolt", "plugin": "linear", "enabled": True, "idempotencyKey": "k"}
    world.data("admin@bolt", SET, input=given)
    world.data("admin@bolt", SET, input={"client": "bolt", "plugin": "linear", "enabled": False})
    assert world.codes("admin@bolt", SET, input=given) == []
    assert not plugins(world, "operator@bolt", "bolt")["linear"]["enabled"]
    assert world.codes("admin@bolt", SET, input=given | {"enabled": False}) == ["CONFLICT"]


def test_settings_of_all_plugins_are_one_statement(world: Any) -> None:
    world.data("operator@acme", FORMS)
    with world.counting() as all_:
        world.data("operator@acme", FORMS)
    with world.counting() as none:
        world.data("operator@acme", FORMS.replace("things { settings }", "enabled"))
    assert all_.number == none.number + 1
