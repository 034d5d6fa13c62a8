"""How the columns of a file become fields of a fact; saved under a name, proposed by importers, checked before use."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from phonenumbers import SUPPORTED_REGIONS
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from fairlead.customers.identifiers import KIND


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Purpose = Literal["marketing", "personalisation", "sharing", "service"]
PURPOSES: tuple[str, ...] = get_args(Purpose)
TIME_FORMATS = ("iso", "epoch_seconds", "epoch_millis")
CONSENT_STATES = ("granted", "withdrawn")
ORDER_STATUSES = ("created", "paid", "shipped", "finished", "closed", "refunded")


def is_currency(text: str) -> bool:
    """Whether a text has the form of an ISO 4217 code."""
    return len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()


class Source(_Strict):
    """Where a value comes from: a column, or a constant for every row. ``values`` translates the file's words."""

    column: str | None = None
    constant: str | None = Field(default=None, min_length=1, max_length=80)
    values: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> Source:
        if (self.column is None) == (self.constant is None):
            raise ValueError("give either a column or a constant")
        return self

    def held_to(self, allowed: Sequence[str]) -> Source:
        """Itself, when its constant and all it translates to are allowed; raises ``ValueError``."""
        for word in (self.constant, *self.values.values()):
            if word is not None and word not in allowed:
                raise ValueError(f"{word!r} is none of {', '.join(allowed)}")
        return self


class IdentityColumn(_Strict):
    """A column that holds an identity; with ``when`` only in rows whose column ``when[0]`` holds ``when[1]``."""

    kind: str
    column: str
    scope: str = Field(default="", max_length=40)
    when: tuple[str, str] | None = None

    @field_validator("kind")
    @classmethod
    def _kind(cls, kind: str) -> str:
        if not KIND.fullmatch(kind):
            raise ValueError("an identity kind is 2-24 of a-z, 0-9 and _")
        return kind


class _Mapping(_Strict):
    """What all facts share. ``source_id`` names the columns that tell rows apart; without it the row's number does."""

    source: str = Field(min_length=1, max_length=40)
    channel: Source
    identities: tuple[IdentityColumn, ...] = ()
    source_id: tuple[str, ...] = ()
    time_format: str = "iso"
    zone: str = "Asia/Shanghai"
    region: str = "CN"
    money: Literal["major", "minor"] = "major"
    properties: dict[str, str] = Field(default_factory=dict)

    @field_validator("zone")
    @classmethod
    def _zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{zone!r} is no IANA time zone") from None
        return zone

    @field_validator("time_format")
    @classmethod
    def _time_format(cls, time_format: str) -> str:
        if time_format in TIME_FORMATS:
            return time_format
        try:
            # A format that nothing can be read by would reject every row of a file, each with the wrong reason.
            time.strptime(time.strftime(time_format, time.gmtime(0)), time_format)
            readable = "%" in time_format
        except ValueError:
            readable = False
        if not readable:
            raise ValueError(f"{time_format!r} is none of {', '.join(TIME_FORMATS)}, and no strptime format")
        return time_format

    @field_validator("region")
    @classmethod
    def _region(cls, region: str) -> str:
        if region not in SUPPORTED_REGIONS:
            raise ValueError(f"{region!r} is no country that has telephone numbers (ISO 3166-1, such as CN)")
        return region


class EventMapping(_Mapping):
    """Rows are events."""

    fact: Literal["events"] = "events"
    type: Source
    at: str
    amount: str | None = None
    item: str | None = None
    category: str | None = None


class Conversion(_Strict):
    """A touch row that is a conversion too: where ``column`` holds one of ``equals``, an event is stored beside it."""

    column: str
    equals: tuple[str, ...] = ("1", "true")
    event: str = Field(default="conversion", min_length=1, max_length=80)
    amount: str | None = None


class TouchMapping(_Mapping):
    """Rows are touches."""

    fact: Literal["touches"] = "touches"
    kind: Source = Source(constant="click")
    at: str
    campaign: str | None = None
    conversion: Conversion | None = None


class OrderMapping(_Mapping):
    """Rows are orders. A row with ``item`` is an order of one line."""

    fact: Literal["orders"] = "orders"
    order_id: str
    placed_at: str
    paid_at: str | None = None
    changed_at: str | None = None
    status: Source | None = None
    currency: Source = Source(constant="CNY")
    amount: str
    paid_amount: str | None = None
    refund_amount: str | None = None
    receiver_region: str | None = None
    receiver_name: str | None = None
    item: str | None = None
    item_title: str | None = None
    quantity: str | None = None

    @field_validator("status")
    @classmethod
    def _status(cls, status: Source | None) -> Source | None:
        return status and status.held_to(ORDER_STATUSES)

    @field_validator("currency")
    @classmethod
    def _currency(cls, currency: Source) -> Source:
        for word in (currency.constant, *currency.values.values()):
            if word is not None and not is_currency(word):
                raise ValueError(f"{word!r} is no ISO 4217 code")
        return currency


class RefundMapping(_Mapping):
    """Rows are refunds of orders known already; each adds to its order's refund and leaves a ``refund`` event."""

    fact: Literal["refunds"] = "refunds"
    order_id: str
    at: str
    amount: str


class ProfileMapping(_Mapping):
    """Rows are people. ``dates`` are attributes as ``properties`` are, by column, each of which must hold a date."""

    fact: Literal["profiles"] = "profiles"
    name: str | None = None
    gender: Source | None = None
    birth_date: str | None = None
    dates: dict[str, str] = Field(default_factory=dict)
    home_region: str | None = None
    language: str | None = None
    home_zone: str | None = None


class ConsentMapping(_Mapping):
    """Rows are consents given or withdrawn."""

    fact: Literal["consents"] = "consents"
    at: str
    purpose: Source
    consent_channel: Source = Source(constant="*")
    state: Source
    expires_at: str | None = None
    text_version: str | None = None

    @field_validator("consent_channel")
    @classmethod
    def _channel(cls, channel: Source) -> Source:
        if len(channel.constant or "") > 40:
            raise ValueError("a channel's name has at most 40 characters")
        return channel

    @field_validator("purpose")
    @classmethod
    def _purpose(cls, purpose: Source) -> Source:
        return purpose.held_to(PURPOSES)

    @field_validator("state")
    @classmethod
    def _state(cls, state: Source) -> Source:
        return state.held_to(CONSENT_STATES)


Mapping = Annotated[
    EventMapping | TouchMapping | OrderMapping | RefundMapping | ProfileMapping | ConsentMapping,
    Field(discriminator="fact"),
]
ANY_MAPPING: TypeAdapter[Mapping] = TypeAdapter(Mapping)

_SPACES = re.compile(r"\s+")


def clean_header(name: str) -> str:
    """A column's name as mappings use it: trimmed, inner blanks single, no byte-order mark."""
    return _SPACES.sub(" ", name.replace("\ufeff", "")).strip()


def columns_of(mapping: _Mapping) -> dict[str, str]:
    """Every column the mapping reads, and the field that reads it first."""
    found: dict[str, str] = {}

    def note(field: str, value: object) -> None:
        if isinstance(value, Source):
            if value.column:
                found.setdefault(value.column, field)
        elif isinstance(value, Conversion):
            note(f"{field}.column", value.column)
            note(f"{field}.amount", value.amount)
        elif isinstance(value, str) and value:
            found.setdefault(value, field)

    plain = {"source", "time_format", "zone", "region", "money", "fact"}
    for field in type(mapping).model_fields:
        value = getattr(mapping, field)
        if field in plain:
            continue
        if field == "identities":
            for identity in value:
                note("identities", identity.column)
                note("identities", identity.when[0] if identity.when else None)
        elif field == "source_id":
            for column in value:
                note("source_id", column)
        elif field in ("properties", "dates"):
            for column in value.values():
                note(field, column)
        else:
            note(field, value)
    return found
