"""What everything that is registered promises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from fairlead.plugins.manifest import ANYWHERE, Capability, Kind
from fairlead.plugins.quality import BadQuality, read_quality
from fairlead.plugins.registry import CAPABILITY_PROTOCOLS, missing_members
from fairlead.plugins.settings_schema import BadSettingsModel, address_paths, json_schema, secret_paths
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()

VERSION = re.compile(r"\d+(\.\d+){0,3}([-.]?(a|b|rc|dev|post)\d+)?")
SECRET_NAME = re.compile(r"(^|_)(secret|password|passwd|token|api_?key|app_?secret|private_?key|access_?key)$")
ADDRESS_NAME = re.compile(r"(^|_)(ur[il]s?|hosts?|hostname|endpoint|gateway|server|api_?base)$")
URL = re.compile(r"\^?[a-z?]+://")
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
        region in ("", ANYWHERE) or re.fullmatch(r"[A-Z]{2}", region),
        f"manifest.region is {region!r}; write an ISO 3166 code such as CN, ANYWHERE when the settings decide, "
        "or nothing when no data leaves the machine",
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
def secrets_go_where_they_were_given_for(subject: Subject) -> None:
    """Beside secrets, fields that say where these are sent are marked ADDRESS: nobody else can have them sent away."""
    model = subject.manifest.settings
    if not secret_paths(model):
        return
    marked = {".".join(path) for path in address_paths(model)}
    for name, field in _fields(json_schema(model)):
        looks = ADDRESS_NAME.search(name) or field.get("format") == "uri"
        looks = looks or any(URL.match(text) for text in _texts(field))
        require(
            not looks or name in marked,
            f"settings field {name!r} looks like an address that secrets are sent to; "
            "mark it Field(..., json_schema_extra=ADDRESS), so that whoever changes it must give the secrets again",
        )


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of the form by its dotted name, those of nested models included."""
    return _below(schema, schema.get("$defs", {}), (), frozenset())


def _below(
    node: dict[str, Any], defs: dict[str, Any], above: tuple[str, ...], seen: frozenset[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (node, *node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
        model = part.get("$ref", "").rpartition("/")[2]
        if model and model not in seen:
            yield from _below(defs[model], defs, above, seen | {model})
        for name, field in part.get("properties", {}).items():
            yield ".".join((*above, name)), field
            yield from _below(field, defs, (*above, name), seen)


def _texts(field: dict[str, Any]) -> Iterator[str]:
    given = [field.get("pattern"), field.get("default"), *field.get("examples", ())]
    return (text for text in given if isinstance(text, str))


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
