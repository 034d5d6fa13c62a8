"""Each hook has a test named for it, and the test runs the example of the manual."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fairlead.errors import PluginOff
from fairlead.insights.paths import Paths
from fairlead.plugins.contracts.channel import HealthState
from fairlead.plugins.contracts.notifier import Notice
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.plugins.hookspecs import HOOKS
from fairlead.plugins.manager import Plugins
from fairlead.testing import FakeHttp, contract_tests, fake_context

MANUAL = Path(__file__).parents[3] / "docs" / "plugins.md"
SECTION = re.compile(r"^## (fairlead_\w+)\(([^)]*)\)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@cache
def example(hook: str) -> tuple[ModuleType, Plugins]:
    """The example of ``hook`` as a module, and the plugins with it alone."""
    sections = {name: body for name, _, body in SECTION.findall(MANUAL.read_text(encoding="utf-8"))}
    found = CODE.search(sections[hook])
    assert found, hook
    module = ModuleType(f"fairlead_{hook.removeprefix('fairlead_')}_example")
    exec(compile(found.group(1), f"docs/plugins.md, {hook}", "exec"), vars(module))
    return module, Plugins.for_tests(module)


def kept(hook: str, *but: str) -> None:
    """Run the contract kit on the example; ``but`` are promises that ten lines in a manual need not keep."""
    _, plugins = example(hook)
    (name,) = plugins.names
    tests = contract_tests(name, plugins=plugins)
    for test in [test for test in vars(tests) if test.startswith("test_") and test.removeprefix("test_") not in but]:
        getattr(tests(), test)()


def test_hook_fairlead_register_channels() -> None:
    kept("fairlead_register_channels", "quality_is_honest")
    _, plugins = example("fairlead_register_channels")
    channel = plugins.channels["letterbox"]
    assert channel.thing.check(fake_context()).state is HealthState.OK
    with pytest.raises(PluginOff):
        plugins.subset([]).channel("letterbox")


def test_hook_fairlead_register_notifiers() -> None:
    _, plugins = example("fairlead_register_notifiers")
    http = FakeHttp()
    notice = Notice("k", "t", dt.datetime(2026, 1, 5, tzinfo=dt.UTC), "Done", "")
    plugins.notifiers["gong"].thing.notify(fake_context(http=http.client()), notice)
    assert http.bodies() == [{"title": "Done"}]


def test_hook_fairlead_register_importers() -> None:
    _, plugins = example("fairlead_register_importers")
    till = plugins.importers["till"].thing
    assert till.propose(["time", "receipt", "total", "cashier"]) == {
        "receipt": "order_id",
        "total": "amount",
        "time": "placed_at",
    }
    assert till.propose(["a"]) is None


def test_hook_fairlead_register_attribution_models() -> None:
    kept("fairlead_register_attribution_models", "quality_is_honest")
    _, plugins = example("fairlead_register_attribution_models")
    paths = Paths([0, 2, 3], [0, 1, 0], [1, 0], [100, 0], names=("a", "b"))
    credits = plugins.attribution_models["even"].thing.credit(paths, None)
    assert credits.conversions.tolist() == [0.5, 0.5]
    assert credits.value.tolist() == [50, 50]


def test_hook_fairlead_register_scoring_schemes() -> None:
    kept("fairlead_register_scoring_schemes", "quality_is_honest")
    _, plugins = example("fairlead_register_scoring_schemes")
    scores = plugins.scoring_schemes["visits"].thing.score({"visits": np.array([2.0, 0.0])}, None)
    assert scores.value.tolist() == [2, 0]


def test_hook_fairlead_register_journey_nodes() -> None:
    kept("fairlead_register_journey_nodes", "quality_is_honest")
    _, plugins = example("fairlead_register_journey_nodes")
    assert plugins.journey_nodes["even_odd"].thing.outlets(None) == ("even", "odd")


def test_hook_fairlead_register_rule_operators() -> None:
    kept("fairlead_register_rule_operators", "quality_is_honest")
    _, plugins = example("fairlead_register_rule_operators")
    assert set(plugins.rule_operators) == {"third"}


def test_hook_fairlead_register_content_rules() -> None:
    kept("fairlead_register_content_rules", "quality_is_honest")
    _, plugins = example("fairlead_register_content_rules")
    (finding,) = plugins.content_rules["shouting"].thing.check("快来！！", "sms", None)
    assert (finding.start, finding.end) == (2, 4)


def test_hook_fairlead_graphql() -> None:
    _, plugins = example("fairlead_graphql")
    (registry,) = plugins.graphql_registries()
    (field,) = registry.batch_fields
    assert registry.plugin in plugins.names
    assert (field.type_name, field.name, field.returns) == ("Profile", "shoe_size", int)
    assert field.resolve(None, [1, 12]) == {1: 37, 12: 38}  # type: ignore[arg-type]


def test_hook_fairlead_register_migrations() -> None:
    _, plugins = example("fairlead_register_migrations")
    (migration,) = plugins.migrations()
    assert (migration.name, migration.location, migration.prefix) == ("shoes", "fairlead_shoes:migrations", "shoes_")


def test_hook_fairlead_on_event() -> None:
    module, plugins = example("fairlead_on_event")
    at = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    for key, kind in (("1", EventType.SEGMENT_REFRESHED), ("2", EventType.IMPORT_FINISHED)):
        plugins.on_event(DomainEvent(key, kind, 1, at, subject=f"segment:{key}"), plugins.names)
    plugins.on_event(DomainEvent("3", EventType.SEGMENT_REFRESHED, 2, at, subject="segment:3"), [])
    heard: list[Any] = module.refreshed
    assert heard == ["segment:1"]


def test_every_hook_has_a_test_named_for_it() -> None:
    assert {f"test_hook_{hook}" for hook in HOOKS} == {name for name in globals() if name.startswith("test_hook_")}
