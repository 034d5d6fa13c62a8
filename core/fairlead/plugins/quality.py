"""Where a plugin stands, kept in its own folder: ``quality.toml`` beside the module, or the manifest's own table.

The file maps each rule to its state, at the top level or under ``[rules]``::

    [rules]
    messages = "done"
    orders = "todo"
    webhooks = "exempt: the platform has none"
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from fairlead.plugins.manifest import Manifest, Quality

FILE = "quality.toml"


class BadQuality(ValueError):
    """The quality file cannot be read; the message names it and says what to write."""


def read_quality(module: object, manifest: Manifest) -> Quality:
    """The table in the folder of a plugin that is a package, else the one in its manifest.

    A plugin of one file shares its folder with others, so only its manifest speaks for it.
    """
    path = getattr(module, "__file__", None)
    source = Path(path) if path else Path()
    file = source.with_name(FILE) if source.name == "__init__.py" else None
    if file is None or not file.is_file():
        return manifest.quality
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadQuality(f"{file.parent.name}/{FILE} is not readable TOML: {error}") from error
    rules = data.get("rules", data)
    wrong = [name for name, state in rules.items() if not isinstance(state, str)]
    if wrong:
        raise BadQuality(f"{file.parent.name}/{FILE}: {wrong[0]!r} must be a text: done, todo or 'exempt: <why>'")
    try:
        return Quality({**manifest.quality.rules, **rules})
    except ValueError as error:
        raise BadQuality(f"{file.parent.name}/{FILE}: {error}") from error
