"""What a plugin may know of the core: linters of imports see packages only, and half of the plugins are one file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = (
    "fairlead.plugins",
    "fairlead.testing.http_twin",
    "fairlead.insights.markov_solver",
    "fairlead.insights.path_counts",
    "fairlead.insights.paths",
    "fairlead.insights.shapley_solver",
)
# For plugins with tables, fields and operators of their own; none of those that ship has any.
PUBLIC_TO_TABLES = (
    *PUBLIC,
    "fairlead.errors",
    "fairlead.facts.model",
    "fairlead.storage.base",
    "fairlead.storage.migration_env",
    "fairlead.storage.types",
    "fairlead.work",
    "fairlead_migrations.security",
)
IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\s+(.*)|import\s+([\w., ]+))", re.MULTILINE)
PLUGINS = sorted((ROOT / "plugins").glob("*/fairlead_*"))
TEMPLATE = ROOT / "core" / "fairlead" / "plugins" / "template"
EXAMPLES = sorted((ROOT / "examples").glob("*/src/*"))


def strange_imports(text: str, public: tuple[str, ...], own: str) -> list[str]:
    """Everything of Fairlead that ``text`` (Python, or a template of it) imports beyond ``public`` and ``own``."""
    found = []
    for module, names, modules in IMPORT.findall(text):
        # "from a import b" may mean the module a.b; so a itself or each a.b must be public.
        whole = [f"{module}.{name.split()[0]}" for name in names.strip("( )").split(",") if name.strip()]
        for name in [module] if module else modules.replace(",", " ").split():
            wanted = [name] if _allowed(name, public, own) or not whole else whole
            found += [one for one in wanted if one.startswith("fairlead") and not _allowed(one, public, own)]
    return found


def _allowed(name: str, public: tuple[str, ...], own: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in (*public, own))


def files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted({*place.rglob("*.py"), *place.rglob("*.jinja")})


@pytest.mark.parametrize(
    ("place", "public"),
    [
        *((place, PUBLIC) for place in PLUGINS),
        (TEMPLATE, (*PUBLIC, "fairlead.testing")),
        *((place, PUBLIC_TO_TABLES) for place in EXAMPLES if place.is_dir()),
    ],
    ids=lambda given: given.name if isinstance(given, Path) else "",
)
def test_plugins_know_only_the_public_part_of_the_core(place: Path, public: tuple[str, ...]) -> None:
    found = {
        str(file.relative_to(ROOT)): strange
        for file in files(place)
        if (strange := strange_imports(file.read_text(encoding="utf-8"), public, place.stem))
    }
    assert found == {}


def test_a_strange_import_is_seen() -> None:
    def seen(text: str) -> list[str]:
        return strange_imports(text, PUBLIC, "fairlead_acme")

    assert seen("from fairlead.plugins import hookimpl\nimport fairlead_acme.client\nimport numpy") == []
    assert seen("from fairlead.insights import paths\nfrom fairlead.plugins.http import (") == []
    assert seen("from fairlead.insights import paths, service") == ["fairlead.insights.service"]
    assert seen("    from fairlead.storage.session import ScopedSession") == ["fairlead.storage.session.ScopedSession"]
    assert seen("import fairlead_graphql.schema as s") == ["fairlead_graphql.schema"]
    assert seen("from fairlead_email import client") == ["fairlead_email.client"]
    assert seen("from fairlead import runtime") == ["fairlead.runtime"]


def test_the_contracts_of_imports_name_every_plugin() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {one["name"]: one for one in settings["tool"]["importlinter"]["contracts"]}
    shipped = sorted(settings["project"]["entry-points"]["fairlead"].values())
    assert sorted(contracts["nobody knows a plugin"]["forbidden_modules"]) == shipped
    assert sorted(place.stem for place in PLUGINS) == shipped
