"""Discovery, admission, clashes, failures, per-client sets and events, through the public door."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fairlead.errors import NotFound, PluginOff
from fairlead.plugins import Capability, Kind, Manifest, Title, hookimpl
from fairlead.plugins.discovery import Choice, PluginSource, installed
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.plugins.extensions import MigrationSource
from fairlead.plugins.manager import PluginFailed, Plugins
from fairlead.plugins.registry import PluginClash

TITLE = Title("测试", "Test")
EVENT = DomainEvent("k1", EventType.IMPORT_FINISHED, 1, dt.datetime(2026, 1, 5, tzinfo=dt.UTC))


def manifest(name: str, kind: Kind = Kind.NOTIFIER, **more: Any) -> Manifest:
    return Manifest(name=name, kind=kind, version="1.0", title=TITLE, description=TITLE, **more)


def plugin_of(**hooks: Any) -> ModuleType:
    """A plugin module made of these functions."""
    module = ModuleType("acme_plugin")
    vars(module).update(hooks)
    return module


class Bell:
    def __init__(self, name: str = "bell") -> None:
        self.manifest = manifest(name)

    def notify(self, context: object, notice: object) -> None: ...


def bell_plugin(thing_name: str = "bell") -> ModuleType:
    """A plugin object that registers one notifier."""

    @hookimpl
    def fairlead_register_notifiers(register: Callable[[object], None]) -> None:
        register(Bell(thing_name))

    return plugin_of(fairlead_register_notifiers=fairlead_register_notifiers)


def source(name: str, plugin: object, distribution: str = "") -> PluginSource:
    return PluginSource(name, distribution or f"dist-{name}", "1.0", load=lambda: plugin)


def listener(heard: list[str], name: str, error: Exception | None = None) -> ModuleType:
    @hookimpl
    def fairlead_on_event(event: DomainEvent) -> None:
        heard.append(name)
        if error is not None:
            raise error

    return plugin_of(fairlead_on_event=fairlead_on_event)


# -- loading --------------------------------------------------------------------------------------------------------


def test_a_thing_knows_whose_it_is() -> None:
    entry = Plugins([source("acme", bell_plugin(), "acme-dist")]).notifiers["bell"]
    assert (entry.plugin, entry.distribution, entry.version) == ("acme", "acme-dist", "1.0")
    assert entry.thing.manifest.name == entry.name == "bell"
    assert entry.kind is Kind.NOTIFIER


def test_the_mappings_cannot_be_written_to() -> None:
    plugins = Plugins([source("acme", bell_plugin())])
    with pytest.raises(TypeError):
        plugins.notifiers["x"] = plugins.notifiers["bell"]  # type: ignore[index]


def test_a_failing_import_is_reported_and_the_others_load() -> None:
    def explode() -> object:
        raise ImportError("no module named vendor")

    plugins = Plugins([PluginSource("bad", "bad-dist", "1", explode), source("good", bell_plugin())])
    assert plugins.names == {"good"}
    (failed,) = plugins.failed
    assert (failed.name, failed.distribution, failed.error) == (
        "bad",
        "bad-dist",
        "ImportError: no module named vendor",
    )
    with pytest.raises(PluginFailed, match="plugin 'bad' of bad-dist: ImportError"):
        Plugins([PluginSource("bad", "bad-dist", "1", explode)], policy="strict")


def test_a_plugin_that_exits_on_import_does_not_take_the_core_along() -> None:
    assert Plugins([PluginSource("bad", "d", "1", lambda: sys.exit(3))]).failed[0].error == "SystemExit: 3"


def test_nothing_of_a_plugin_stays_when_its_hook_fails() -> None:
    @hookimpl
    def fairlead_register_notifiers(register: Callable[[object], None]) -> None:
        register(Bell())
        raise RuntimeError("half way")

    plugins = Plugins([source("half", plugin_of(fairlead_register_notifiers=fairlead_register_notifiers))])
    assert not plugins.notifiers
    assert plugins.failed[0].error == "RuntimeError: half way"
    assert not plugins.subset({"half"}).notifiers


def test_a_misspelt_hook_is_named_with_the_right_one() -> None:
    @hookimpl
    def fairlead_register_notifier(register: object) -> None: ...

    plugin = plugin_of(fairlead_register_notifier=fairlead_register_notifier)
    (failed,) = Plugins([source("acme", plugin)]).failed
    assert "fairlead_register_notifier (did you mean fairlead_register_notifiers?)" in failed.error


def test_a_hook_without_its_mark_is_named() -> None:
    def fairlead_register_notifiers(register: object) -> None: ...

    plugin = plugin_of(fairlead_register_notifiers=fairlead_register_notifiers)
    (failed,) = Plugins([source("acme", plugin)]).failed
    assert "fairlead_register_notifiers() in acme_plugin has no @hookimpl" in failed.error


def test_a_hook_asking_for_an_argument_that_is_not_there_is_named() -> None:
    @hookimpl
    def fairlead_register_notifiers(registry: object) -> None: ...

    plugin = plugin_of(fairlead_register_notifiers=fairlead_register_notifiers)
    (failed,) = Plugins([source("acme", plugin)]).failed
    assert "registry" in failed.error


def test_a_plugin_without_hooks_is_no_plugin() -> None:
    (failed,) = Plugins([source("empty", ModuleType("empty"))]).failed
    assert failed.error == "no function of empty is marked with @hookimpl, so it adds nothing"


class NoManifest:
    def notify(self, context: object, notice: object) -> None: ...


class WrongKind(Bell):
    def __init__(self) -> None:
        self.manifest = manifest("bell", Kind.CHANNEL)


class Mute:
    manifest = manifest("mute")


class Boaster:
    manifest = manifest("boaster", Kind.CHANNEL, capabilities=frozenset({Capability.MESSAGES}))

    def check(self, context: object) -> None: ...


@pytest.mark.parametrize(
    ("thing", "hook", "says"),
    [
        (Bell, "notifiers", "got the class; hand over an instance: Bell()"),
        (NoManifest(), "notifiers", "has no `manifest`"),
        (WrongKind(), "notifiers", "use fairlead_register_channels or change the manifest's kind"),
        (Mute(), "notifiers", "registered as a notifier but has no notify()"),
        (
            Boaster(),
            "channels",
            "declares the capability 'messages' but has no idempotent, address_kinds, limits(), send()",
        ),
    ],
)
def test_a_thing_that_breaks_its_contract_keeps_its_plugin_off(thing: object, hook: str, says: str) -> None:
    name = f"fairlead_register_{hook}"
    scope: dict[str, Any] = {"thing": thing}
    exec(f"def {name}(register): register(thing)", scope)
    plugin = plugin_of(**{name: hookimpl(scope[name])})
    assert says in Plugins([source("acme", plugin)]).failed[0].error


def test_the_same_name_twice_from_one_plugin_is_its_own_fault() -> None:
    @hookimpl
    def fairlead_register_notifiers(register: Callable[[object], None]) -> None:
        register(Bell())
        register(Bell())

    plugin = plugin_of(fairlead_register_notifiers=fairlead_register_notifiers)
    assert "registered twice by the same plugin" in Plugins([source("acme", plugin)]).failed[0].error


def test_a_plugin_that_cannot_be_told_apart_stays_off_and_the_others_load() -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

    plugins = Plugins([source("odd", Unhashable()), source("good", bell_plugin())])
    assert plugins.names == {"good"}
    assert "Unhashable" in plugins.failed[0].error


# -- clashes --------------------------------------------------------------------------------------------------------


def test_a_clash_names_both_distributions_and_what_to_do() -> None:
    with pytest.raises(PluginClash) as raised:
        Plugins([source("one", bell_plugin(), "dist-a"), source("two", bell_plugin(), "dist-b")])
    assert str(raised.value) == (
        "notifier 'bell' is claimed by plugin 'one' of dist-a and by plugin 'two' of dist-b; "
        "uninstall one of them, or set FAIRLEAD_PLUGINS_BLOCK=two"
    )
    choice = Choice(block=frozenset({"two"}))
    assert Plugins([source("one", bell_plugin()), source("two", bell_plugin())], choice=choice).notifiers["bell"]


def test_the_same_name_in_two_kinds_is_no_clash() -> None:
    @hookimpl
    def fairlead_register_notifiers(register: Callable[[object], None]) -> None:
        register(Bell("acme"))

    class Channel:
        manifest = manifest("acme", Kind.CHANNEL)

        def check(self, context: object) -> None: ...

    @hookimpl
    def fairlead_register_channels(register: Callable[[object], None]) -> None:
        register(Channel())

    both = plugin_of(
        fairlead_register_notifiers=fairlead_register_notifiers, fairlead_register_channels=fairlead_register_channels
    )
    plugins = Plugins([source("acme", both)])
    assert [entry.kind for entry in plugins] == [Kind.CHANNEL, Kind.NOTIFIER]


def migrating(name: str, prefix: str) -> ModuleType:
    @hookimpl
    def fairlead_register_migrations(register: Callable[[MigrationSource], None]) -> None:
        register(MigrationSource(name, "acme:migrations", prefix))

    return plugin_of(fairlead_register_migrations=fairlead_register_migrations)


def test_two_plugins_cannot_own_the_same_tables() -> None:
    fine = Plugins([source("one", migrating("one", "one_")), source("two", migrating("two", "two_"))])
    assert [migration.name for migration in fine.migrations()] == ["one", "two"]
    with pytest.raises(PluginClash, match="the name of the tables acme_x_"):
        Plugins([source("one", migrating("one", "acme_")), source("two", migrating("two", "acme_x_"))])


# -- discovery and the environment ----------------------------------------------------------------------------------


def install(folder: Path, distribution: str, entries: str) -> None:
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fairlead]\n{entries}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a plugin ``noisy`` that says when it is imported."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "noisy_plugin.py").write_text(
        "import sys\nsys.noisy_imported = True\nfrom fairlead.plugins import hookimpl\n"
        "@hookimpl\ndef fairlead_on_event(event): pass\n"
    )
    install(tmp_path, "noisy-dist", "noisy = noisy_plugin")
    monkeypatch.setattr(sys, "noisy_imported", False, raising=False)
    monkeypatch.delitem(sys.modules, "noisy_plugin", raising=False)
    return tmp_path


def noisy_was_imported() -> bool:
    return bool(getattr(sys, "noisy_imported", False))


@pytest.mark.parametrize("environ", [{"FAIRLEAD_PLUGINS_BLOCK": "x, noisy"}, {"FAIRLEAD_PLUGINS_ONLY": "console"}])
def test_a_blocked_plugin_is_never_imported(environ: dict[str, str], site: Path) -> None:
    plugins = Plugins.discover(environ=environ)
    status = {status.name: status for status in plugins.statuses()}["noisy"]
    assert status.state == "blocked"
    assert next(iter(environ)) in status.reason
    assert not noisy_was_imported()


def test_discovery_loads_what_is_installed(site: Path) -> None:
    plugins = Plugins.discover(environ={"FAIRLEAD_PLUGINS_ONLY": "noisy"})
    assert plugins.names == {"noisy"}
    assert noisy_was_imported()
    assert plugins.statuses()[0].distribution


def test_a_misspelt_only_is_a_failure() -> None:
    plugins = Plugins([source("a", bell_plugin())], choice=Choice(only=frozenset({"aa"})))
    assert [failed.name for failed in plugins.failed] == ["aa"]
    assert "no distribution offers it" in plugins.failed[0].error


def test_one_entry_name_from_two_distributions_is_a_clash(site: Path) -> None:
    install(site, "other-dist", "noisy = other_plugin")
    with pytest.raises(PluginClash, match="they share the entry point name"):
        installed()


def test_every_shipped_plugin_is_found_like_a_strangers() -> None:
    names = {source.name for source in installed() if source.distribution == "fairlead"}
    assert {"console", "ad_law", "tmall_report"} <= names


def test_trace_names_each_hook_and_who_answers(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugins = Plugins.discover(environ={"FAIRLEAD_PLUGINS_ONLY": "noisy", "FAIRLEAD_TRACE_PLUGINS": "1"})
    plugins.on_event(EVENT, {"noisy"})
    said = capsys.readouterr().err
    assert "fairlead: fairlead_register_channels(register) -> nobody" in said
    assert "fairlead: fairlead_on_event(event) -> noisy" in said


# -- per client -----------------------------------------------------------------------------------------------------


def test_a_client_has_what_is_on_for_it() -> None:
    plugins = Plugins([source("one", bell_plugin("first")), source("two", bell_plugin("second"))])
    mine = plugins.subset({"one", "gone"})
    assert set(mine.notifiers) == {"first"}
    assert mine.enabled == {"one"}
    assert mine.notifier("first").plugin == "one"
    with pytest.raises(PluginOff) as off:
        mine.notifier("second")
    assert off.value.next_step == "switch on the plugin 'two' for this client"
    with pytest.raises(NotFound):
        mine.notifier("third")
    with pytest.raises(PluginOff):
        mine.require("two")
    mine.require("one")


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_can_be_looked_up(kind: Kind) -> None:
    mine = Plugins([]).subset(set())
    with pytest.raises(NotFound, match=kind.value.replace("_", " ")):
        getattr(mine, kind.value)("nothing")
    plural = f"{kind.value}s"
    assert dict(getattr(mine, plural)) == dict(getattr(Plugins([]), plural)) == {}


def test_equal_sets_share_one_object() -> None:
    plugins = Plugins([source("one", bell_plugin())])
    assert plugins.subset(["one"]) is plugins.subset({"one", "never_installed"})
    assert plugins.subset([]) is not plugins.subset(["one"])


# -- events ---------------------------------------------------------------------------------------------------------


def test_an_event_reaches_only_the_plugins_that_are_on() -> None:
    heard: list[str] = []
    plugins = Plugins([source(name, listener(heard, name)) for name in ("a", "b", "c")])
    plugins.on_event(EVENT, {"a", "c"})
    assert sorted(heard) == ["a", "c"]


def test_one_plugin_that_raises_silences_nobody_and_its_text_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    bad = listener(heard, "bad", ValueError("phone 13800138000"))
    plugins = Plugins(
        [source("bad", bad), source("good", listener(heard, "good")), source("ugly", listener(heard, "ugly"))]
    )
    with caplog.at_level(logging.ERROR):
        plugins.on_event(EVENT, {"bad", "good", "ugly"})
    assert sorted(heard) == ["bad", "good", "ugly"]
    assert "plugin bad failed on event import.finished with ValueError at test_manager.py" in caplog.text
    assert "13800138000" not in caplog.text


def test_for_tests_takes_modules_and_objects_and_is_strict() -> None:
    module = ModuleType("fairlead_acme")
    vars(module)["fairlead_register_notifiers"] = vars(bell_plugin())["fairlead_register_notifiers"]
    plugins = Plugins.for_tests(module)
    assert plugins.names == {"acme"}
    assert plugins.module("acme") is module
    with pytest.raises(PluginFailed):
        Plugins.for_tests(ModuleType("empty"))
