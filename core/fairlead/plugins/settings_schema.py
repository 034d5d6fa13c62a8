"""Settings of plugins: JSON Schema for any form, secrets kept apart, errors with the path of the field.

Settings live in two JSON objects of the same shape: the public one, and one that holds only the secrets and is stored
encrypted. A field is a secret when it is typed ``SecretStr``; it may sit in the model or in a nested model, not inside
a list or a mapping, because an omitted secret in there could not be matched with the one that is kept.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from fairlead.errors import InvalidInput, PathSegment, Refusals, Verbatim
from fairlead.plugins.manifest import Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"

JsonObject = dict[str, Any]
SecretPath = tuple[str, ...]


class BadSettingsModel(TypeError):
    """The settings model uses something that a stored, half secret form cannot hold."""


def json_schema(model: type[BaseModel]) -> JsonObject:
    """JSON Schema (draft 2020-12) of ``model``. Secrets have ``secret``, ``writeOnly`` and format ``password``."""
    secret_paths(model)
    schema = model.model_json_schema(mode="validation")
    _mark_secrets(schema)
    return {"$schema": DIALECT, **schema}


def secret_paths(model: type[BaseModel]) -> tuple[SecretPath, ...]:
    """Paths of the secret fields. Raise :class:`BadSettingsModel` for one in a list and for any alias."""
    return tuple(_secret_paths(model, ()))


def split_secrets(model: type[BaseModel], data: Mapping[str, Any]) -> tuple[JsonObject, JsonObject]:
    """Split ``data`` into the public object and the object of secrets; both keep the shape of the model.

    A secret given as ``{"set": true}``, the form in which it is shown, counts as omitted.
    """
    public, secrets = _copy(data), JsonObject()
    for path in secret_paths(model):
        holder = _at(public, path[:-1])
        if holder is None or path[-1] not in holder:
            continue
        value = holder.pop(path[-1])
        if not _is_marker(value):
            _put(secrets, path, _plain(value))
    return public, secrets


def merge(public: Mapping[str, Any], secrets: Mapping[str, Any]) -> JsonObject:
    """Both objects as one. Where both hold an object they are merged, else ``secrets`` wins."""
    merged = _copy(public)
    for key, value in secrets.items():
        mine = merged.get(key)
        merged[key] = merge(mine, value) if isinstance(mine, dict) and isinstance(value, Mapping) else value
    return merged


def replace_settings(
    model: type[BaseModel], secrets: Mapping[str, Any], data: Mapping[str, Any]
) -> tuple[JsonObject, JsonObject]:
    """New public and secret objects from a filled form ``data``: public fields are replaced, an omitted secret stays.

    A secret given as ``null`` is removed.
    """
    public, given = split_secrets(model, data)
    kept = merge(secrets, given)
    for path in secret_paths(model):
        holder = _at(kept, path[:-1])
        if holder is not None and holder.get(path[-1], "") is None:
            del holder[path[-1]]
    return public, kept


def patch_settings(
    model: type[BaseModel], public: Mapping[str, Any], secrets: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[JsonObject, JsonObject]:
    """New public and secret objects after a plugin saved ``changes`` (rotated tokens); what it omits stays."""
    changed, given = split_secrets(model, changes)
    return merge(public, changed), merge(secrets, given)


def show(model: type[BaseModel], public: Mapping[str, Any], secrets: Mapping[str, Any]) -> JsonObject:
    """The settings as anybody may see them: a secret is only ``{"set": true}`` or ``{"set": false}``."""
    shown = _copy(public)
    for path in secret_paths(model):
        holder, kept = _at(shown, path[:-1]), _at(secrets, path[:-1])
        is_set = kept is not None and kept.get(path[-1]) is not None
        if holder is not None or is_set:
            _put(shown, path, {"set": is_set})
    return shown


def validate_settings(
    manifest: Manifest,
    public: Mapping[str, Any],
    secrets: Mapping[str, Any] | None = None,
    *,
    path: tuple[PathSegment, ...] = (),
) -> Any:
    """An instance of the manifest's settings model. Raise :class:`~fairlead.errors.Refusals` naming each bad field.

    ``path`` is put before the path of each field. No message repeats what was given, since it may be a secret.
    """
    try:
        return manifest.settings.model_validate(merge(public, secrets or {}))
    except ValidationError as error:
        raise Refusals(_refusals(manifest, error, path)) from None


def _refusals(manifest: Manifest, error: ValidationError, path: tuple[PathSegment, ...]) -> Iterator[InvalidInput]:
    hidden = secret_paths(manifest.settings)
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        place = tuple(item["loc"])
        name = ".".join(map(str, place)) or "the settings"
        quiet = not place or any(place[: len(secret)] == secret for secret in hidden)
        reason = "not acceptable" if quiet and item["type"] in ("value_error", "assertion_error") else item["msg"]
        yield InvalidInput(
            f"{manifest.name}: {name}: {reason}",
            path=(*path, *(Verbatim(step) if isinstance(step, str) else step for step in place)),
            next_step="compare with the settings schema of the plugin",
        )


def _secret_paths(model: type[BaseModel], above: SecretPath) -> Iterator[SecretPath]:
    for name, field in model.model_fields.items():
        if field.alias or field.validation_alias:
            raise BadSettingsModel(f"{model.__name__}.{name} has an alias; name the field as it shall be stored")
        here = (*above, name)
        for part in _alternatives(field.annotation):
            if _is_secret(part):
                yield here
                break
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _secret_paths(part, here)
            elif any(_holds_secret(argument, frozenset()) for argument in get_args(part)):
                raise BadSettingsModel(f"{model.__name__}.{name} holds a secret in a list or mapping; use plain fields")


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin is Union or origin is types.UnionType:
        return tuple(part for argument in get_args(annotation) for part in _alternatives(argument))
    return (annotation,)


def _is_secret(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes)


def _holds_secret(annotation: Any, seen: frozenset[Any]) -> bool:
    if _is_secret(annotation):
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        fields = annotation.model_fields.values()
        return any(_holds_secret(field.annotation, seen | {annotation}) for field in fields)
    return any(_holds_secret(argument, seen) for argument in get_args(annotation))


def _mark_secrets(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("format") == "password" and node.get("writeOnly"):
            node["secret"] = True
            node.pop("default", None)
        for value in node.values():
            _mark_secrets(value)
    elif isinstance(node, list):
        for value in node:
            _mark_secrets(value)


def _copy(data: Mapping[str, Any]) -> JsonObject:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in data.items()}


def _at(data: Any, path: SecretPath) -> Any:
    for segment in path:
        data = data.get(segment) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else None


def _put(data: JsonObject, path: SecretPath, value: Any) -> None:
    for segment in path[:-1]:
        data = data.setdefault(segment, {})
    data[path[-1]] = value


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value


def _is_marker(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"set"} and isinstance(value["set"], bool)
