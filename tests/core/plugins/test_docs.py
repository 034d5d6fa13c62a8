"""The manual of hooks is held to the hook specs: same names, same arguments, same first sentence, true users."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import pytest

from fairlead.plugins import hookspecs
from fairlead.plugins.hookspecs import HOOKS
from fairlead.plugins.manager import Plugins

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## (fairlead_\w+)\(([^)]*)\)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {name: (arguments, body) for name, arguments, body in SECTION.findall(TEXT)}
USED_BY = re.compile(r"^Used by: (.+)\.$", re.MULTILINE)
EXAMPLE = ROOT / "examples" / "fairlead_acme_loyalty"


def test_every_hook_has_a_section_and_no_section_is_left_over() -> None:
    assert set(SECTIONS) == set(HOOKS) != set()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_section_has_the_signature_of_its_hook(hook: str) -> None:
    arguments, body = SECTIONS[hook]
    spec = inspect.signature(getattr(hookspecs, hook))
    assert arguments == ", ".join(spec.parameters)
    for name in spec.parameters:
        assert f"\n* `{name}`: " in body, f"{hook}: the argument {name} is not described"


@pytest.mark.parametrize("hook", HOOKS)
def test_a_section_begins_with_the_words_of_the_spec(hook: str) -> None:
    said = " ".join((inspect.getdoc(getattr(hookspecs, hook)) or "").replace("``", "`").split())
    _, body = SECTIONS[hook]
    assert " ".join(body.split()).startswith(said)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_section_says_when_and_shows_an_example(hook: str) -> None:
    _, body = SECTIONS[hook]
    assert "\nCalled " in body
    assert f"@hookimpl\ndef {hook}(" in body


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_used_by_a_plugin_that_ships(hook: str) -> None:
    _, body = SECTIONS[hook]
    found = USED_BY.search(body)
    assert found, f"{hook}: name a plugin that uses it"
    names = re.findall(r"`(\w+)`", found.group(1))
    if names == ["acme_loyalty"]:
        source = (EXAMPLE / "src" / "fairlead_acme_loyalty" / "__init__.py").read_text(encoding="utf-8")
        assert f"@hookimpl\ndef {hook}(" in source
        return
    loaded = {status.name: status for status in Plugins.discover(environ={}).statuses()}
    for name in names:
        assert loaded[name].state == "on", loaded[name].reason
        assert hook in loaded[name].hooks, f"{name} does not use {hook}"


def test_every_shipped_plugin_is_named_by_the_hooks_it_uses() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = set(project["project"]["entry-points"]["fairlead"])
    named = {
        name
        for _, body in SECTIONS.values()
        for found in USED_BY.findall(body)
        for name in re.findall(r"`(\w+)`", found)
    }
    assert shipped <= named, f"docs/plugins.md does not say what {sorted(shipped - named)} use"
