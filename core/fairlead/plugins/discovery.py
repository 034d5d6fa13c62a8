"""Where plugins come from: entry points of the group ``fairlead``, narrowed by the environment before any import."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fairlead.plugins.registry import PluginClash

GROUP = "fairlead"
BLOCK = "FAIRLEAD_PLUGINS_BLOCK"
ONLY = "FAIRLEAD_PLUGINS_ONLY"


@dataclass(frozen=True, slots=True)
class PluginSource:
    """A plugin that may be loaded: its entry name, where it was installed from, and how to import it."""

    name: str
    distribution: str
    version: str
    load: Callable[[], object]
    value: str = ""


def installed() -> list[PluginSource]:
    """Every entry point of the group, by name. Raise :class:`PluginClash` when two distributions use one name."""
    found: dict[str, PluginSource] = {}
    for distribution in importlib.metadata.distributions():
        for point in distribution.entry_points.select(group=GROUP):
            owner = _normal(distribution.name or "?")
            source = PluginSource(point.name, owner, distribution.version or "", point.load, point.value)
            known = found.setdefault(point.name, source)
            # An editable install on sys.path twice shows the same distribution twice: that is no clash.
            if (known.distribution, known.value) != (source.distribution, source.value):
                raise PluginClash(
                    f"plugin name {point.name!r}", (known.name, known.distribution), (source.name, source.distribution)
                )
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which entry names may be loaded: all but ``block``, and nothing but ``only`` when that is given."""

    block: frozenset[str] = frozenset()
    only: frozenset[str] | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Choice:
        """Read ``FAIRLEAD_PLUGINS_BLOCK`` and ``FAIRLEAD_PLUGINS_ONLY``: names separated by commas or spaces.

        An unset or empty ``ONLY`` means all.
        """
        return cls(frozenset(_names(environ.get(BLOCK, ""))), frozenset(_names(environ.get(ONLY, ""))) or None)

    def why_blocked(self, name: str) -> str:
        """The reason ``name`` must not be imported, or an empty string."""
        if name in self.block:
            return f"named in {BLOCK}"
        if self.only is not None and name not in self.only:
            return f"not named in {ONLY}"
        return ""

    def missing(self, sources: Iterable[PluginSource]) -> list[str]:
        """Names in ``only`` that nobody installed: surely a misspelling, since nothing else would be loaded."""
        return sorted((self.only or frozenset()) - {source.name for source in sources})


def _names(text: str) -> list[str]:
    return [name for name in re.split(r"[,\s]+", text) if name]


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
