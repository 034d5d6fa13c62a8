"""Which plugins are on for a client, and their settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from fairlead.clients import plugin_sets
from fairlead.clients.model import PluginSettings
from fairlead.errors import Forbidden, NotFound, PluginOff, Refusals
from fairlead.governance.permissions import READS, Principal
from fairlead.plugins import ADDRESS, Kind, Manifest, Title, hookimpl
from fairlead.runtime import Fairlead
from support.rows import audit_entries

SECRET = "hook-s3cr3t"


class BellSettings(BaseModel):
    room: str
    key: SecretStr
    url: str = Field("https://bell.example", json_schema_extra=ADDRESS)


class Bell:
    manifest = Manifest(
        name="bell",
        kind=Kind.NOTIFIER,
        version="1.0",
        title=Title("铃", "Bell"),
        description=Title("响铃", "Rings"),
        settings=BellSettings,
    )

    def notify(self, context: Any, notice: Any) -> None:
        """Rings."""


class BellPlugin:
    name = "bell"

    def __init__(self) -> None:
        self.heard: list[Any] = []

    @hookimpl
    def fairlead_register_notifiers(self, register: Callable[[Any], None]) -> None:
        register(Bell())

    @hookimpl
    def fairlead_on_event(self, event: Any) -> None:
        self.heard.append(event)


@pytest.fixture
def plugin() -> BellPlugin:
    return BellPlugin()


@pytest.fixture
def runtime(build_runtime: Callable[..., Fairlead], plugin: BellPlugin) -> Fairlead:
    return build_runtime(plugin)


def switch(runtime: Fairlead, client: int, on: bool) -> bool:
    return runtime.run(client, lambda work: plugin_sets.set_plugin(work, runtime.plugins, "bell", on))


def test_a_plugin_is_off_until_switched_on_and_only_there(runtime: Fairlead, agency: Any) -> None:
    assert runtime.enabled(agency.acme) == frozenset()
    assert switch(runtime, agency.acme, True)
    assert not switch(runtime, agency.acme, True)
    assert runtime.enabled(agency.acme) == {"bell"}
    assert runtime.enabled(agency.bolt) == frozenset()
    with runtime.reading(agency.acme) as work:
        assert work.plugins.notifier("bell").name == "bell"
    with runtime.reading(agency.bolt) as work, pytest.raises(PluginOff):
        work.plugins.notifier("bell")


def test_switching_off_holds_at_once(runtime: Fairlead, agency: Any) -> None:
    switch(runtime, agency.acme, True)
    assert switch(runtime, agency.acme, False)
    assert not switch(runtime, agency.acme, False)
    with runtime.reading(agency.acme) as work:
        with pytest.raises(PluginOff):
            work.plugins.notifier("bell")
        entry = audit_entries(work)[0]
    assert (entry.action, entry.object_id, entry.after) == ("plugin.switched", "bell", {"enabled": False})


def test_a_plugin_that_is_off_hears_nothing(runtime: Fairlead, agency: Any, plugin: BellPlugin) -> None:
    switch(runtime, agency.acme, True)
    switch(runtime, agency.acme, False)
    from fairlead.clients import service

    for client in (agency.acme, agency.bolt):
        with runtime.agency_work("test") as work:
            service.update_client(work, client, name="New name")
    assert [(event.client_id, event.data["enabled"]) for event in plugin.heard] == [(agency.acme, True)]


def test_another_process_notices_within_the_stated_seconds(
    build_runtime: Callable[..., Fairlead], runtime: Fairlead, agency: Any, plugin: BellPlugin
) -> None:
    now = [0.0]
    other = build_runtime(plugin)
    other._enabled._timer = lambda: now[0]
    assert other.enabled(agency.acme) == frozenset()
    switch(runtime, agency.acme, True)
    assert other.enabled(agency.acme) == frozenset()
    now[0] = other.settings.cache_seconds
    assert other.settings.cache_seconds <= 5
    assert other.enabled(agency.acme) == {"bell"}


def test_what_is_not_installed_cannot_be_switched_on(runtime: Fairlead, agency: Any) -> None:
    with runtime.work(agency.acme) as work, pytest.raises(NotFound):
        plugin_sets.set_plugin(work, runtime.plugins, "nothing", True)


def test_the_catalogue_shows_what_is_gone(
    runtime: Fairlead, build_runtime: Callable[..., Fairlead], agency: Any
) -> None:
    switch(runtime, agency.acme, True)
    without = build_runtime()
    with without.work(agency.acme) as work:
        (entry,) = plugin_sets.catalogue(work, without.plugins)
        assert (entry.name, entry.enabled, entry.missing) == ("bell", True, True)
        assert plugin_sets.set_plugin(work, without.plugins, "bell", False)
    with runtime.reading(agency.bolt) as work:
        (entry,) = plugin_sets.catalogue(work, runtime.plugins)
        assert (entry.enabled, entry.missing) == (False, False)


def test_settings_are_checked_sealed_and_never_shown(runtime: Fairlead, agency: Any) -> None:
    switch(runtime, agency.acme, True)
    with runtime.work(agency.acme) as work:
        with pytest.raises(Refusals) as refused:
            plugin_sets.set_settings(work, Kind.NOTIFIER, "bell", {"room": 5})
        assert {error.path for error in refused.value.errors} == {("settings", "room"), ("settings", "key")}
        shown = plugin_sets.set_settings(work, Kind.NOTIFIER, "bell", {"room": "a", "key": SECRET})
        assert shown == {"room": "a", "key": {"set": True}}
    with runtime.work(agency.acme) as work:
        row = work.session.get(PluginSettings, (agency.acme, "notifier", "bell"))
        assert row is not None
        assert row.secrets is not None
        assert row.public == {"room": "a"}
        assert SECRET.encode() not in bytes(row.secrets)
        (form,) = plugin_sets.forms_of(work, [work.plugins.notifier("bell")]).values()
        assert form.shown == shown
        again = plugin_sets.set_settings(work, Kind.NOTIFIER, "bell", {"room": "b", "key": {"set": True}})
        assert again == {"room": "b", "key": {"set": True}}
        settings = plugin_sets.settings_of(work, Kind.NOTIFIER, "bell")
        assert (settings.room, settings.key.get_secret_value()) == ("b", SECRET)
        texts = repr([(entry.before, entry.after) for entry in audit_entries(work)])
        assert SECRET not in texts
        assert "sealed_part_changed" in texts


def test_kept_secrets_are_not_sent_to_another_address(runtime: Fairlead, agency: Any) -> None:
    switch(runtime, agency.acme, True)
    with runtime.work(agency.acme) as work:
        plugin_sets.set_settings(work, Kind.NOTIFIER, "bell", {"room": "a", "key": SECRET})
        elsewhere = {"room": "a", "url": "https://evil.example"}
        with pytest.raises(Refusals) as refused:
            plugin_sets.set_settings(work, Kind.NOTIFIER, "bell", elsewhere)
        assert [error.path for error in refused.value.errors] == [("settings", "key")]
        shown = plugin_sets.set_settings(work, Kind.NOTIFIER, "bell", elsewhere | {"key": "other"})
        assert shown == elsewhere | {"key": {"set": True}}


def test_settings_of_what_is_off_are_out_of_reach(runtime: Fairlead, agency: Any) -> None:
    with runtime.work(agency.bolt) as work:
        with pytest.raises(PluginOff):
            plugin_sets.settings_of(work, Kind.NOTIFIER, "bell")
        with pytest.raises(PluginOff):
            plugin_sets.set_settings(work, Kind.NOTIFIER, "bell", {"room": "a", "key": "k"})


def test_required_settings_that_were_never_given_are_refused(runtime: Fairlead, agency: Any) -> None:
    switch(runtime, agency.acme, True)
    with runtime.reading(agency.acme) as work, pytest.raises(Refusals):
        plugin_sets.settings_of(work, Kind.NOTIFIER, "bell")


def test_permission_is_needed(runtime: Fairlead, agency: Any) -> None:
    reader = Principal(member_id=1, token_id=1, agency_id=agency.id, name="m", at={agency.acme: READS})
    with runtime.work(agency.acme, actor=reader) as work, pytest.raises(Forbidden):
        plugin_sets.set_plugin(work, runtime.plugins, "bell", True)
