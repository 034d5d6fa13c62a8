"""What the tests of the contract kit share: a manifest, and the kit run over one thing."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from fairlead.plugins import Kind, Manifest, Quality, Title, hookimpl
from fairlead.plugins.manager import Plugins
from fairlead.plugins.registry import KINDS
from fairlead.testing.contract import trials_of
from fairlead.testing.subject import ContractBroken


def manifest(kind: Kind, **more: Any) -> Manifest:
    given: dict[str, Any] = {
        "title": Title("测试", "Test"),
        "description": Title("测试用", "For tests"),
        "quality": Quality({"tested": "done"}),
        **more,
    }
    return Manifest(name="acme", kind=kind, version="1.0", **given)


def broken_promises(thing: Any, harness: Callable[[], Any] | None = None) -> dict[str, str]:
    """What the kit says of ``thing``, by check."""
    module = ModuleType("fairlead_acme")
    hook = KINDS[thing.manifest.kind].hook
    scope: dict[str, Any] = {"thing": thing}
    exec(f"def {hook}(register): register(thing)", scope)
    vars(module)[hook] = hookimpl(scope[hook])
    found = {}
    for trial in trials_of("acme", harness=harness, plugins=Plugins.for_tests(module)):
        try:
            trial.run()
        except ContractBroken as error:
            found[trial.name] = str(error)
    return found
