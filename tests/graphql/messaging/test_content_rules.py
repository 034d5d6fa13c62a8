"""Content rules that are on are asked when a template is saved: an error refuses it, anything less is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import fairlead_ad_law
from fairlead.clients.plugin_sets import set_plugin, set_settings
from fairlead.plugins.contracts.importer import Finding
from fairlead.plugins.manifest import Kind

SAVE = """
mutation ($input: SaveTemplateInput!) {
  saveTemplate(input: $input) {
    template { number }
    warnings { rule field start end severity message suggestion }
    errors { code message path nextStep }
  }
}
"""
COUNT = '{ client(slug: "acme") { templates { totalCount } } }'


def save(world: Any, client: str = "acme", **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = world.data(f"operator@{client}", SAVE, input={"client": client, "name": "t", **given})[
        "saveTemplate"
    ]
    return answer


@pytest.fixture
def world_with_rule(world: Any) -> Any:
    with world.client_work("acme") as work:
        set_plugin(work, world.runtime.plugins, "ad_law", True)
    return world


def test_a_forbidden_claim_refuses_the_template_with_its_place(world_with_rule: Any) -> None:
    payload = save(world_with_rule, subject="国家级", text="夏季新品", html="<p>最<b>佳</b></p>")
    assert (payload["template"], payload["warnings"]) == (None, None)
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("BAD_USER_INPUT", ["subject"]),
        ("BAD_USER_INPUT", ["html"]),
    ]
    assert "characters 3 to 8" in payload["errors"][1]["message"]
    assert payload["errors"][1]["message"].startswith("ad_law: ")
    assert payload["errors"][1]["nextStep"]
    assert world_with_rule.data("analyst@acme", COUNT)["client"]["templates"]["totalCount"] == 0


def test_a_doubtful_claim_is_shown_and_kept_with_the_answer(world_with_rule: Any) -> None:
    markup = '<p id="no-1" width="100%">好</p><style>p { width: 100% }</style><!-- 国家级 --><script>最佳'
    given = {"text": "独家新品 {{ profile.name }}", "html": markup, "idempotencyKey": "k"}
    payload = save(world_with_rule, **given)
    assert (payload["template"], payload["errors"]) == ({"number": 1}, [])
    (warning,) = payload["warnings"]
    assert (warning["rule"], warning["field"], warning["severity"]) == ("ad_law", "text", "warning")
    assert (warning["start"], warning["end"]) == (0, 2)
    assert save(world_with_rule, **given) == payload


def test_a_rule_that_is_off_is_not_asked_and_settings_are_the_clients_own(world_with_rule: Any) -> None:
    assert save(world_with_rule, client="bolt", text="国家级")["errors"] == []
    with world_with_rule.client_work("acme") as work:
        set_settings(work, Kind.CONTENT_RULE, "ad_law", {"allowed": ["国家级"], "forbidden": ["夏季"]})
    assert save(world_with_rule, text="国家级")["errors"] == []
    assert [error["path"] for error in save(world_with_rule, text="夏季")["errors"]] == [["text"]]


class Broken:
    """Stands in for the rule's check; ``text`` is what a careless message would repeat."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def __call__(self, text: str, channel: str, settings: Any) -> Iterator[Any]:
        assert channel == ""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return iter(self.outcome)


@pytest.mark.parametrize(
    ("outcome", "kind"), [(ZeroDivisionError("k33p"), "ZeroDivisionError"), (["not a finding"], "TypeError")]
)
def test_a_rule_that_fails_lets_nothing_pass(
    world_with_rule: Any, monkeypatch: pytest.MonkeyPatch, outcome: Any, kind: str
) -> None:
    monkeypatch.setattr(fairlead_ad_law.AdLaw, "check", staticmethod(Broken(outcome)))
    (error,) = save(world_with_rule, text="k33p it")["errors"]
    assert (error["code"], error["path"]) == ("CONFLICT", ["text"])
    assert kind in error["message"]
    assert "k33p" not in error["message"]


def test_many_findings_are_cut_and_an_error_behind_them_still_refuses(
    world_with_rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mild = [Finding(0, 1, "warning", "look")] * 300
    monkeypatch.setattr(fairlead_ad_law.AdLaw, "check", staticmethod(Broken(mild)))
    assert len(save(world_with_rule, text="x")["warnings"]) == 100
    monkeypatch.setattr(fairlead_ad_law.AdLaw, "check", staticmethod(Broken([*mild, Finding(0, 1, "error", "no")])))
    (error,) = save(world_with_rule, text="x")["errors"]
    assert error["message"].startswith("ad_law: no")
