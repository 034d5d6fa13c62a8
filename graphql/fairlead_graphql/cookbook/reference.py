"""Tables of the documents that are made from the code: settings, limits, permissions, tables, metrics, commands."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer.main
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fairlead.governance.permissions import PERMISSIONS, ROLES
from fairlead.observability.metrics import Metrics
from fairlead.settings import Limits, Settings
from fairlead.storage import tables
from fairlead.storage.base import Base, tenant_tables
from fairlead_graphql.door.limits import Limits as DoorLimits

HIDDEN_DEFAULTS = {"executor_id": "the host's name"}


def settings_table() -> str:
    """The variables of the process with their defaults."""
    rows = []
    for name, field in Settings.model_fields.items():
        if name != "limits":
            default = HIDDEN_DEFAULTS.get(name) or _default(field.get_default(call_default_factory=False))
            rows.append((f"`FAIRLEAD_{name.upper()}`", default))
    return _table(("variable", "default"), rows)


def limits_table() -> str:
    """The limits of the process and of the GraphQL door, one row per variable."""
    rows: dict[str, tuple[str, str]] = {}
    for model in (DoorLimits, Limits):
        for name, field in _fields(model):
            variable = f"`FAIRLEAD_LIMIT_{name.upper()}`"
            rows.setdefault(variable, (_default(field.default), field.description or ""))
    return _table(("variable", "default", "meaning"), [(name, *rest) for name, rest in rows.items()])


def permissions_table() -> str:
    """Every permission, and which built-in role has it."""
    roles = list(ROLES)
    rows = [(f"`{name}`", *("●" if name in ROLES[role] else "" for role in roles)) for name in sorted(PERMISSIONS)]
    return _table(("permission", *roles), rows)


def fields_table() -> str:
    """Every query field and mutation that declares a permission."""
    importlib.import_module("fairlead_graphql.schema")
    policy: Any = importlib.import_module("fairlead_graphql.policy")
    rows = [(f"`{type_}.{field}`", f"`{permission}`") for (type_, field), permission in sorted(policy.FIELDS.items())]
    rows += [(f"`Mutation.{name}`", f"`{permission}`") for name, permission in sorted(policy.MUTATIONS.items())]
    return _table(("field", "needs"), rows)


def tables_table() -> str:
    """The tables of the core: whose rows they hold, what they are for, and what is sealed in them."""
    assert tables  # imported, so that every table is known
    rows, owned = [], tenant_tables()
    for mapper in sorted(Base.registry.mappers, key=lambda mapper: str(mapper.local_table)):
        if not mapper.class_.__module__.startswith("fairlead."):
            continue
        domain = mapper.class_.__module__.split(".")[1]
        what = (mapper.class_.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        owner = "client" if str(mapper.local_table) in owned else "agency"
        rows.append((f"`{mapper.local_table}`", domain, owner, " ".join(what.split())))
    return _table(("table", "domain", "rows of", "what"), rows)


def metrics_table() -> str:
    """Every metric that ``/metrics`` shows."""
    rows = [
        (f"`{family.name}{'_total' if family.type == 'counter' else ''}`", family.type, family.documentation)
        for family in sorted(Metrics().registry.collect(), key=lambda family: family.name)
    ]
    return _table(("metric", "type", "what"), rows)


def commands_table() -> str:
    """Every command of ``fairlead`` with the first sentence of its help."""
    app = importlib.import_module("fairlead.cli").app
    root: Any = typer.main.get_command(app)
    return _table(("command", "what it does"), [(f"`{name}`", text) for name, text in commands(root, "fairlead")])


def commands(command: Any, name: str) -> Iterable[tuple[str, str]]:
    """``(full name, first paragraph of its help)`` of every command below a group."""
    for word, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from commands(inner, f"{name} {word}")
        else:
            yield f"{name} {word}", " ".join((inner.help or "").split("\n\n")[0].split())


SECTIONS: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "limits": limits_table,
    "permissions": permissions_table,
    "fields": fields_table,
    "tables": tables_table,
    "metrics": metrics_table,
    "commands": commands_table,
}
"""What a document may ask for between ``<!-- generated: NAME -->`` and ``<!-- end -->``."""


def _fields(model: type[BaseModel]) -> Iterable[tuple[str, Any]]:
    return model.model_fields.items()


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "not set"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    if isinstance(value, bool):
        return "`1`" if value else "`0`"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{value}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
