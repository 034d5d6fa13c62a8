"""Settings: schema, secrets kept apart, errors with paths, nothing secret ever coming back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, Secret, SecretStr, field_validator

from fairlead.errors import Refusals
from fairlead.plugins import ADDRESS, Kind, Manifest, Title
from fairlead.plugins.settings_schema import (
    BadSettingsModel,
    address_paths,
    json_schema,
    merge,
    patch_settings,
    replace_settings,
    secret_paths,
    show,
    split_secrets,
    validate_settings,
)


class Smtp(BaseModel):
    model_config = ConfigDict(extra="forbid")
    host: str
    password: SecretStr | None = None


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sender: str = Field(max_length=11, description="Sender")
    rate: int = Field(10, ge=1, le=1000)
    api_key: SecretStr
    smtp: Smtp | None = None

    @field_validator("api_key")
    @classmethod
    def _long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 4:
            raise ValueError(f"key {value.get_secret_value()!r} is too short")
        return value


MANIFEST = Manifest(
    name="acme", kind=Kind.CHANNEL, version="1", title=Title("a", "a"), description=Title("a", "a"), settings=Settings
)
FULL = {"sender": "ACME", "rate": 5, "api_key": "k-1234", "smtp": {"host": "mx", "password": "p-9"}}


def test_the_schema_marks_secrets() -> None:
    schema = json_schema(Settings)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    key = schema["properties"]["api_key"]
    assert (key["secret"], key["writeOnly"], key["format"]) == (True, True, "password")
    assert schema["$defs"]["Smtp"]["properties"]["password"]["anyOf"][0]["secret"] is True
    assert "secret" not in schema["properties"]["sender"]


def test_secrets_are_found_in_nested_models() -> None:
    assert secret_paths(Settings) == (("api_key",), ("smtp", "password"))


class InList(BaseModel):
    keys: list[SecretStr]


class InMapping(BaseModel):
    accounts: dict[str, Smtp]


class Aliased(BaseModel):
    key: SecretStr = Field(alias="apiKey")


class Generic(BaseModel):
    key: Secret[str]


class GenericInUnion(BaseModel):
    key: Secret[int] | None = None


class GenericInList(BaseModel):
    keys: list[Secret[str]]


@pytest.mark.parametrize("model", [InList, InMapping, Aliased, Generic, GenericInUnion, GenericInList])
def test_a_model_whose_secrets_could_not_be_kept_is_refused(model: type[BaseModel]) -> None:
    with pytest.raises(BadSettingsModel, match=model.__name__):
        json_schema(model)


def test_split_and_merge_are_inverse() -> None:
    public, secrets = split_secrets(Settings, FULL)
    assert public == {"sender": "ACME", "rate": 5, "smtp": {"host": "mx"}}
    assert secrets == {"api_key": "k-1234", "smtp": {"password": "p-9"}}
    assert merge(public, secrets) == FULL
    assert FULL["api_key"] == "k-1234", "the given data is left as it was"


def test_an_omitted_secret_is_kept() -> None:
    old, secrets = split_secrets(Settings, FULL)
    public, kept = replace_settings(Settings, old, secrets, {"sender": "NEW", "smtp": {"host": "mx2"}})
    assert public == {"sender": "NEW", "smtp": {"host": "mx2"}}
    assert kept == secrets


def test_a_form_sent_back_as_it_was_shown_changes_no_secret() -> None:
    public, secrets = split_secrets(Settings, FULL)
    shown = show(Settings, public, secrets)
    assert shown == {
        "sender": "ACME",
        "rate": 5,
        "api_key": {"set": True},
        "smtp": {"host": "mx", "password": {"set": True}},
    }
    assert replace_settings(Settings, public, secrets, shown) == (public, secrets)


def test_a_secret_given_replaces_and_null_removes() -> None:
    old, secrets = split_secrets(Settings, FULL)
    _, kept = replace_settings(
        Settings, old, secrets, {"sender": "A", "api_key": "k-new", "smtp": {"host": "mx", "password": None}}
    )
    assert kept == {"api_key": "k-new", "smtp": {}}
    assert show(Settings, {"smtp": {"host": "mx"}}, kept)["smtp"]["password"] == {"set": False}


class Relay(BaseModel):
    host: str = Field("relay.example", json_schema_extra=ADDRESS)
    password: SecretStr | None = None


class Sends(BaseModel):
    url: str = Field("https://a.example", json_schema_extra=ADDRESS)
    hook: SecretStr | None = Field(None, json_schema_extra=ADDRESS)
    key: SecretStr
    relay: Relay | None = None
    note: str = ""


SENDS = {"key": "k", "relay": {"password": "p"}}


def test_addresses_are_marked_in_the_schema() -> None:
    assert address_paths(Sends) == (("url",), ("hook",), ("relay", "host"))
    schema = json_schema(Sends)
    assert schema["properties"]["url"]["address"] is True
    assert schema["$defs"]["Relay"]["properties"]["host"]["address"] is True
    assert "address" not in schema["properties"]["note"]


class HostsInList(BaseModel):
    class Node(BaseModel):
        host: str = Field(json_schema_extra=ADDRESS)

    nodes: list[Node]


def test_an_address_that_could_not_be_compared_is_refused() -> None:
    with pytest.raises(BadSettingsModel, match=r"HostsInList\.nodes"):
        json_schema(HostsInList)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"note": "new"}, []),
        ({"url": "https://a.example"}, []),
        ({"url": "https://evil.example"}, ["key", "relay.password"]),
        ({"url": "https://evil.example", "key": {"set": True}}, ["key", "relay.password"]),
        ({"url": "https://evil.example", "key": "k"}, ["relay.password"]),
        ({"url": "https://evil.example", "key": "k", "relay": {"password": None}}, []),
        ({"url": None}, ["key", "relay.password"]),
        ({"hook": "https://evil.example"}, ["key", "relay.password"]),
        ({"relay": {"host": "evil.example"}}, ["key", "relay.password"]),
        ({"relay": {"host": "relay.example"}}, []),
        ({"relay": None}, []),
    ],
)
def test_a_moved_address_takes_no_kept_secret_along(change: dict[str, Any], missing: list[str]) -> None:
    public, secrets = split_secrets(Sends, SENDS)
    expected = pytest.raises(Refusals) if missing else contextlib.nullcontext()
    with expected as refused:
        replace_settings(Sends, public, secrets, change, path=("settings",))
    errors = refused.value.errors if refused else ()
    assert [error.path for error in errors] == [("settings", *name.split(".")) for name in missing]
    assert all("https" not in error.message and error.next_step for error in errors)


def test_a_plugin_saves_only_what_changed() -> None:
    public, secrets = split_secrets(Settings, FULL)
    changed = patch_settings(Settings, public, secrets, {"api_key": SecretStr("k-5678"), "rate": 7})
    assert changed == ({**public, "rate": 7}, {**secrets, "api_key": "k-5678"})


def test_valid_settings_come_back_as_the_model() -> None:
    public, secrets = split_secrets(Settings, FULL)
    settings = validate_settings(MANIFEST, public, secrets)
    assert isinstance(settings, Settings)
    assert settings.api_key.get_secret_value() == "k-1234"


def test_every_bad_field_is_named_with_its_path() -> None:
    with pytest.raises(Refusals) as raised:
        validate_settings(
            MANIFEST, {"sender": "x" * 12, "rate": 0, "hosst": 1}, {"api_key": "k-1234"}, path=("input", "settings")
        )
    assert {error.path for error in raised.value.errors} == {
        ("input", "settings", "sender"),
        ("input", "settings", "rate"),
        ("input", "settings", "hosst"),
    }


def test_a_refused_secret_is_not_repeated() -> None:
    with pytest.raises(Refusals) as raised:
        validate_settings(MANIFEST, {"sender": "A"}, {"api_key": "zzz"})
    assert "zzz" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.errors[0].path == ("api_key",)


SCALAR = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON = st.recursive(
    SCALAR, lambda inner: st.dictionaries(st.sampled_from(["host", "password", "set"]), inner), max_leaves=6
)


@given(st.dictionaries(st.sampled_from(["sender", "rate", "api_key", "smtp", "x"]), JSON, max_size=5))
def test_no_input_brings_a_secret_into_the_public_part(data: dict[str, Any]) -> None:
    public, secrets = split_secrets(Settings, data)
    assert "api_key" not in public
    shown = show(Settings, public, secrets)
    assert shown.get("api_key", {"set": False}) in ({"set": True}, {"set": False})
    assert not isinstance(public.get("smtp"), dict) or "password" not in public["smtp"]
