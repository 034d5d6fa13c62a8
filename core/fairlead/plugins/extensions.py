"""What ``fairlead_graphql`` and ``fairlead_register_migrations`` hand over.

The core knows no GraphQL library: a registry only collects Python types and field objects by name, and the GraphQL
package builds the schema from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.work import Work

Batch = Callable[["Work", Sequence[int]], Mapping[int, Any]]


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """Where a plugin's Alembic scripts live: ``location`` is ``package:folder``, ``prefix`` starts its table names.

    The version table is ``alembic_version_<name>``, so the core upgrades when the plugin is gone.
    """

    name: str
    location: str
    prefix: str
    metadata: Any = None


@dataclass(frozen=True, slots=True)
class BatchField:
    """A field whose values are looked up for many objects at once, so that a list costs one call and not one each.

    ``resolve(work, ids)`` gives the value by id; an id it leaves out gets ``missing``. Ids are those of ``type_name``:
    profile ids for ``Profile``, client ids for ``Client``. ``returns`` is a Python type the schema knows.
    """

    type_name: str
    name: str
    resolve: Batch
    returns: Any
    description: str
    permission: str
    missing: Any = None


@dataclass(slots=True)
class GraphQLRegistry:
    """Collects one plugin's additions.

    ``field`` entries are strawberry fields; ``permission`` is what the caller needs at the client, the same strings as
    the core's. ``type_name`` is a core type such as ``Profile``, ``Client`` or ``Query``.
    """

    plugin: str
    fields: list[tuple[str, str, Any, str]] = field(default_factory=list)
    types: list[Any] = field(default_factory=list)
    batch_fields: list[BatchField] = field(default_factory=list)

    def batch_field(
        self,
        type_name: str,
        name: str,
        resolve: Batch,
        *,
        returns: Any,
        description: str,
        permission: str,
        missing: Any = None,
    ) -> None:
        """Add a field that is looked up for a whole list at once; knows no GraphQL library. See :class:`BatchField`."""
        self.batch_fields.append(BatchField(type_name, name, resolve, returns, description, permission, missing))

    def field_on(self, type_name: str, name: str, field: Any, *, permission: str) -> None:
        """Add ``field`` to the core type ``type_name`` under ``name`` (snake case)."""
        self.fields.append((type_name, name, field, permission))

    def type(self, type_: Any) -> None:
        """Add a type that no field returns directly (an implementation of an interface)."""
        self.types.append(type_)
