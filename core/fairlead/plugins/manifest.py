"""What a plugin says about itself before anybody calls it."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

ADDRESS: JsonDict = {"address": True}
"""Marks a settings field that decides where secrets are sent, or whom they are trusted to:
``Field(..., json_schema_extra=ADDRESS)``. When it changes, every secret must be given again."""

ANYWHERE = "*"
"""As ``region`` of a manifest: the settings of each account decide which country personal data goes to."""

NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")


class Kind(enum.StrEnum):
    """What sort of thing is registered; a name is unique within its kind."""

    CHANNEL = "channel"
    ATTRIBUTION_MODEL = "attribution_model"
    SCORING_SCHEME = "scoring_scheme"
    NOTIFIER = "notifier"
    JOURNEY_NODE = "journey_node"
    RULE_OPERATOR = "rule_operator"
    CONTENT_RULE = "content_rule"
    IMPORTER = "importer"


class Capability(enum.StrEnum):
    """What a channel can do, each with the protocol that a channel declaring it must satisfy."""

    MESSAGES = "messages"
    ORDERS = "orders"
    PROFILES = "profiles"
    METRICS = "metrics"
    PUBLISH = "publish"
    ADS = "ads"
    WEBHOOKS = "webhooks"
    CREDENTIALS = "credentials"


class NoSettings(BaseModel):
    """Takes no settings."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Title:
    """A name for people, in Chinese and English."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Quality:
    """Where the plugin stands: ``rules`` maps a rule's name to ``done``, ``todo`` or ``exempt: <why>``.

    A plugin keeps the table in its own folder (``quality.toml``) or gives it here.
    """

    rules: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule, state in self.rules.items():
            if state not in ("done", "todo") and not re.fullmatch(r"exempt: .+", state):
                raise ValueError(f"quality rule {rule!r} is {state!r}; write done, todo or 'exempt: <why>'")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Name, kind, version and needs of one registered thing.

    ``settings`` is the pydantic model of its per-client settings; a field typed ``SecretStr`` is stored encrypted and
    never shown again. ``region`` says where personal data goes when the plugin sends any out: an ISO 3166 code,
    :data:`ANYWHERE` when that depends on the settings, ``""`` when none leaves the machine.
    """

    name: str
    kind: Kind
    version: str
    title: Title
    description: Title
    settings: type[BaseModel] = NoSettings
    capabilities: frozenset[Capability] = frozenset()
    quality: Quality = Quality()
    region: str = ""
    docs: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"plugin name {self.name!r} must be 2-40 of a-z, 0-9 and _, and start with a letter")
        if self.capabilities and self.kind is not Kind.CHANNEL:
            raise ValueError(f"{self.name}: only channels have capabilities")
