"""Settings of plugins: JSON Schema for any form, secrets kept apart, errors with the path of the field.

Settings live in two JSON objects of the same shape: the public one, and one that holds only the secrets and is stored
encrypted. A field is a secret when it is typed ``SecretStr``; it may sit in the model or in a nested model, not inside
a list or a mapping, because an omitted secret in there could not be matched with the one that is kept.

A field marked with :data:`~fairlead.plugins.manifest.ADDRESS` says where secrets are sent. Whoever changes one must
give the secrets again: else they could be read by sending them to a machine of one's own.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fairlead.errors import InvalidInput, PathSegment, Refusals, Verbatim
from fairlead.plugins.manifest import Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"

JsonObject = dict[str, Any]
FieldPath = tuple[str, ...]


class BadSettingsModel(TypeError):
    """The settings model uses something that a stored, half secret form cannot hold."""


def json_schema(model: type[BaseModel]) -> JsonObject:
    """JSON Schema (draft 2020-12) of ``model``. Secrets have ``secret``, ``writeOnly`` and format ``password``.

    Addresses have ``address``.
    """
    secret_paths(model)
    address_paths(model)
    schema = model.model_json_schema(mode="validation")
    _mark_secrets(schema)
    return {"$schema": DIALECT, **schema}


def secret_paths(model: type[BaseModel]) -> tuple[FieldPath, ...]:
    """Paths of the secret fields. Raise :class:`BadSettingsModel` for one in a list and for any alias."""
    return tuple(_secret_paths(model, ()))


def address_paths(model: type[BaseModel]) -> tuple[FieldPath, ...]:
    """Paths of the fields marked as addresses. Raise :class:`BadSettingsModel` for one inside a list or mapping."""
    return tuple(_address_paths(model, ()))


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
    model: type[BaseModel],
    public: Mapping[str, Any],
    secrets: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    path: tuple[PathSegment, ...] = (),
) -> tuple[JsonObject, JsonObject]:
    """New public and secret objects from a filled form ``data``: public fields are replaced, an omitted secret stays.

    A secret given as ``null`` is removed. When an address changes, nothing stays: raise
    :class:`~fairlead.errors.Refusals` with the path of each secret that must be given again. ``path`` is put before it.
    """
    replaced, given = split_secrets(model, data)
    kept = merge(secrets, given)
    for secret in secret_paths(model):
        holder = _at(kept, secret[:-1])
        if holder is not None and holder.get(secret[-1], "") is None:
            del holder[secret[-1]]
    moved = _moved(model, merge(public, secrets), merge(replaced, kept))
    missing = [secret for secret in secret_paths(model) if _value(secrets, secret) and not _has(given, secret)]
    if moved and missing:
        raise Refusals(_not_for(moved[0], secret, path) for secret in missing)
    return replaced, kept


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
        holder, is_set = _at(shown, path[:-1]), _value(secrets, path) is not None
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


def _not_for(moved: FieldPath, secret: FieldPath, path: tuple[PathSegment, ...]) -> InvalidInput:
    return InvalidInput(
        f"{'.'.join(secret)}: must be given again, because {'.'.join(moved)} changes and decides where it is sent",
        path=(*path, *map(Verbatim, secret)),
        next_step="give its value, or null to remove it; or leave the address as it was",
    )


def _moved(model: type[BaseModel], before: JsonObject, after: JsonObject) -> list[FieldPath]:
    return [path for path in address_paths(model) if _effective(model, before, path) != _effective(model, after, path)]


def _effective(model: type[BaseModel], data: JsonObject, path: FieldPath) -> Any:
    """What a field is, given or by default: an address is moved away from its default by giving it."""
    return _plain(_value(data, path) if _has(data, path) else _default(model, path))


def _default(model: type[BaseModel], path: FieldPath) -> Any:
    for part in _alternatives(model.model_fields[path[0]].annotation) if len(path) > 1 else ():
        if isinstance(part, type) and issubclass(part, BaseModel) and path[1] in part.model_fields:
            return _default(part, path[1:])
    default = model.model_fields[path[0]].get_default()
    return None if default is PydanticUndefined else default


def _secret_paths(model: type[BaseModel], above: FieldPath) -> Iterator[FieldPath]:
    for name, field in model.model_fields.items():
        if field.alias or field.validation_alias:
            raise BadSettingsModel(f"{model.__name__}.{name} has an alias; name the field as it shall be stored")
        here = (*above, name)
        for part in _alternatives(field.annotation):
            if _is_generic_secret(part):
                raise BadSettingsModel(f"{model.__name__}.{name} is a Secret[...]; type it SecretStr, which is stored")
            if _is_secret(part):
                yield here
                break
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _secret_paths(part, here)
            elif any(_holds_secret(argument, frozenset()) for argument in get_args(part)):
                raise BadSettingsModel(f"{model.__name__}.{name} holds a secret in a list or mapping; use plain fields")


def _address_paths(model: type[BaseModel], above: FieldPath) -> Iterator[FieldPath]:
    for name, field in model.model_fields.items():
        here = (*above, name)
        if _is_address(field):
            yield here
            continue
        for part in _alternatives(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _address_paths(part, here)
            elif any(_holds_address(argument, frozenset()) for argument in get_args(part)):
                raise BadSettingsModel(f"{model.__name__}.{name} holds an address in a list or mapping; mark {name}")


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin is Union or origin is types.UnionType:
        return tuple(part for argument in get_args(annotation) for part in _alternatives(argument))
    return (annotation,)


def _is_secret(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes)


def _is_generic_secret(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, Secret)


def _is_address(field: FieldInfo) -> bool:
    return isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("address") is True


def _holds_address(annotation: Any, seen: frozenset[Any]) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        fields = annotation.model_fields.values()
        return any(_is_address(field) or _holds_address(field.annotation, seen | {annotation}) for field in fields)
    return any(_holds_address(argument, seen) for argument in get_args(annotation))


def _holds_secret(annotation: Any, seen: frozenset[Any]) -> bool:
    if _is_secret(annotation) or _is_generic_secret(annotation):
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


def _at(data: Any, path: FieldPath) -> Any:
    for segment in path:
        data = data.get(segment) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else None


def _has(data: Mapping[str, Any], path: FieldPath) -> bool:
    holder = _at(data, path[:-1])
    return holder is not None and path[-1] in holder


def _value(data: Mapping[str, Any], path: FieldPath) -> Any:
    holder = _at(data, path[:-1])
    return None if holder is None else holder.get(path[-1])


def _put(data: JsonObject, path: FieldPath, value: Any) -> None:
    for segment in path[:-1]:
        data = data.setdefault(segment, {})
    data[path[-1]] = value


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value


def _is_marker(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"set"} and isinstance(value["set"], bool)
