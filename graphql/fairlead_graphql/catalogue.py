"""What plugins' things say about themselves, in the words of the schema."""

from __future__ import annotations

from typing import Any

from fairlead.plugins.manifest import Manifest
from fairlead.plugins.settings_schema import json_schema
from fairlead_graphql.scalars import Title


def described(manifest: Manifest) -> dict[str, Any]:
    """The fields that every entry of a catalogue has: name, title, description, version, settings schema."""
    return {
        "name": manifest.name,
        "title": Title(zh=manifest.title.zh, en=manifest.title.en),
        "description": Title(zh=manifest.description.zh, en=manifest.description.en),
        "version": manifest.version,
        "settings_schema": json_schema(manifest.settings),
    }
