"""Sample settings from a settings model's JSON Schema, so that a check needs no account and no form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from fairlead.plugins.settings_schema import json_schema, secret_paths
from fairlead.testing.subject import broken

RECOGNISABLE = "s3cret-{path}-0f9a4c7e"


def sample_settings(model: type[BaseModel], **overrides: Any) -> Any:
    """A valid instance: defaults, else the field's first example, else something made from its type.

    Secrets get recognisable values, so that one of them in a log or an error is found.
    """
    schema = json_schema(model)
    data = _object(schema, schema.get("$defs", {}), ())
    for path in secret_paths(model):
        holder = data
        for segment in path[:-1]:
            holder = holder.setdefault(segment, {})
        if not isinstance(holder.get(path[-1]), str) or not _has_example(model, path):
            holder[path[-1]] = RECOGNISABLE.format(path="-".join(path))
    data.update(overrides)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        fields = sorted({".".join(map(str, item["loc"])) for item in error.errors(include_url=False)})
        broken(
            f"the kit cannot make up settings for {model.__name__} ({', '.join(fields)}): "
            "give these fields Field(examples=[...])"
        )


def secret_values(settings: BaseModel) -> list[str]:
    """The secrets in ``settings``, readable."""
    values = []
    for path in secret_paths(type(settings)):
        value: Any = settings
        for segment in path:
            value = getattr(value, segment, None)
        if hasattr(value, "get_secret_value"):
            values.append(str(value.get_secret_value()))
    return [value for value in values if value]


def _has_example(model: type[BaseModel], path: tuple[str, ...]) -> bool:
    return len(path) == 1 and bool(model.model_fields[path[0]].examples)


def _object(schema: Mapping[str, Any], defs: Mapping[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    made = {}
    for name, field in schema.get("properties", {}).items():
        if name in required or "examples" in field:
            made[name] = _value(field, defs, (*above, name))
    return made


def _value(schema: Mapping[str, Any], defs: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "$ref" in schema:
        return _value(defs[schema["$ref"].rpartition("/")[2]], defs, path)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _value(schema[key][0], defs, path)
    return _of_type(schema, defs, path)


def _of_type(schema: Mapping[str, Any], defs: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, defs, path)
    if kind == "array":
        return [_value(schema.get("items", {}), defs, path) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + (1 if "exclusiveMinimum" in schema else 0))
        return min(max(low, 1), schema.get("maximum", low + 1))
    if kind == "boolean":
        return False
    by_format = {"uri": "https://platform.invalid/", "email": "shop@example.com", "date": "2026-01-05"}
    text = str(by_format.get(schema.get("format", ""), path[-1] if path else "x"))
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", None)]
