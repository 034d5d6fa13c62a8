"""What everything that is registered promises."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel

from fairlead.plugins.manifest import Capability, Kind
from fairlead.plugins.quality import BadQuality, read_quality
from fairlead.plugins.registry import CAPABILITY_PROTOCOLS, missing_members
from fairlead.plugins.settings_schema import BadSettingsModel, json_schema, secret_paths
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()

VERSION = re.compile(r"\d+(\.\d+){0,3}([-.]?(a|b|rc|dev|post)\d+)?")
SECRET_NAME = re.compile(r"(^|_)(secret|password|passwd|token|api_?key|app_?secret|private_?key|access_?key)$")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@CHECKS.add()
def manifest_is_complete(subject: Subject) -> None:
    """The manifest has a Chinese and an English title and description, and a version."""
    manifest = subject.manifest
    for field in ("title", "description"):
        value = getattr(manifest, field)
        for language in ("zh", "en"):
            require(getattr(value, language).strip(), f"manifest.{field} has no text in {language!r}; people read both")
        require(CHINESE.search(value.zh), f"manifest.{field}.zh is {value.zh!r}, which is not Chinese")
    require(
        VERSION.fullmatch(manifest.version), f"manifest.version is {manifest.version!r}; write numbers, such as 1.0"
    )
    region = manifest.region
    require(
        not region or re.fullmatch(r"[A-Z]{2}", region),
        f"manifest.region is {region!r}; write an ISO 3166 code such as CN, or nothing when no data leaves the machine",
    )


@CHECKS.add()
def settings_are_a_form(subject: Subject) -> None:
    """The settings model gives a JSON Schema in which every field is described, and unknown ones are refused."""
    model = subject.manifest.settings
    require(
        isinstance(model, type) and issubclass(model, BaseModel),
        "manifest.settings must be a pydantic model (the class)",
    )
    try:
        schema = json_schema(model)
        json.dumps(schema)
    except BadSettingsModel as error:
        broken(str(error))
    for name, field in schema.get("properties", {}).items():
        described = field.get("description") or field.get("title", "").lower() != name.replace("_", " ")
        require(described, f"settings field {name!r} has no description; the form shows it: Field(description=...)")
    require(
        schema.get("additionalProperties") is False,
        f"{model.__name__} takes unknown fields; set model_config = ConfigDict(extra='forbid'), so that a typo is seen",
    )


@CHECKS.add()
def secrets_are_secret(subject: Subject) -> None:
    """Fields that hold secrets are typed SecretStr, so that they are stored encrypted and never shown."""
    model = subject.manifest.settings
    hidden = {".".join(path) for path in secret_paths(model)}
    for name, field in model.model_fields.items():
        if SECRET_NAME.search(name) and field.annotation not in (bool, int, float):
            require(name in hidden, f"settings field {name!r} looks like a secret but is not typed SecretStr")


@CHECKS.add()
def quality_is_honest(subject: Subject) -> None:
    """The quality table exists, reads done, todo or 'exempt: <why>', and does not contradict the manifest."""
    try:
        rules = read_quality(subject.module, subject.manifest).rules
    except BadQuality as error:
        broken(str(error))
    require(rules, "there is no quality table; put quality.toml beside the module, or Quality(...) into the manifest")
    for capability in Capability:
        state = rules.get(capability.value)
        if capability in subject.manifest.capabilities:
            require(
                not (state or "").startswith("exempt"),
                f"quality says {capability.value!r} is {state!r}, but the manifest declares it as a capability",
            )
        elif subject.manifest.kind is Kind.CHANNEL:
            require(state != "done", f"quality says {capability.value!r} is done, but the manifest does not declare it")


@CHECKS.add()
def capabilities_match_methods(subject: Subject) -> None:
    """Every declared capability has its methods, and every set of methods is declared."""
    for capability, protocol in CAPABILITY_PROTOCOLS.items():
        missing = missing_members(subject.thing, protocol)
        declared = capability in subject.manifest.capabilities
        if declared:
            require(not missing, f"capability {capability.value!r} is declared, but {', '.join(missing)} is missing")
        elif subject.manifest.kind is Kind.CHANNEL:
            require(
                missing,
                f"the methods of capability {capability.value!r} are there, but the manifest does not declare it, "
                "so nobody will call them",
            )
