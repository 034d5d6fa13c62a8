"""Conditions on facts: something happened so often, for so much, within some time, or did not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StrictBool, StrictInt, field_validator, model_validator

from fairlead.audiences.conditions import WIDEST, Frozen, Key, check_key, fits, refuse
from fairlead.audiences.values import COMPARE, Op, Type, check_value, read_instant, write_instant
from fairlead.storage.types import MILLISECOND

LONGEST_DAYS = 3650
LARGEST_AMOUNT = 10**12

FACT_FIELDS: Mapping[str, Mapping[str, Type]] = {
    "event": {"channel": Type.TEXT, "item": Type.TEXT, "category": Type.TEXT, "amount": Type.INTEGER},
    "order": {
        "channel": Type.TEXT,
        "item": Type.TEXT,
        "category": Type.TEXT,
        "status": Type.TEXT,
        "currency": Type.TEXT,
        "region": Type.TEXT,
        "amount": Type.INTEGER,
        "paid_amount": Type.INTEGER,
        "refund_amount": Type.INTEGER,
    },
    "touch": {"channel": Type.TEXT, "kind": Type.TEXT, "campaign": Type.TEXT},
}
"""What a filter may look at, by the fact's source; ``item`` and ``category`` of an order are those of its lines."""

MONEY = ("amount", "paid_amount", "refund_amount")
COUNTABLE = ("item", "category", "channel")

Function = Literal["count", "sum", "avg", "min", "max", "distinct"]
Status = Literal["created", "paid", "shipped", "finished", "closed", "refunded"]


class Between(Frozen):
    """From an instant (included) to another (not included)."""

    start: str = Field(alias="from")
    end: str = Field(alias="to")

    @field_validator("start", "end")
    @classmethod
    def _instants(cls, text: str) -> str:
        return str(fits(lambda: write_instant(read_instant(text))))

    @model_validator(mode="after")
    def _rises(self) -> Between:
        if read_instant(self.start) >= read_instant(self.end):
            raise refuse("'to' must be later than 'from'")
        return self


class Window(Frozen):
    """When the facts happened; give exactly one. A fact that lies after the instant of evaluation never counts."""

    within_days: Annotated[StrictInt, Field(ge=1, le=LONGEST_DAYS)] | None = Field(
        default=None, validation_alias=AliasChoices("within_days", "withinDays")
    )
    between: Between | None = None
    since: str | None = None
    ever: Literal[True] | None = None

    @field_validator("since")
    @classmethod
    def _instant(cls, text: str | None) -> str | None:
        return None if text is None else str(fits(lambda: write_instant(read_instant(text))))

    @model_validator(mode="after")
    def _one(self) -> Window:
        if sum(value is not None for value in (self.within_days, self.between, self.since, self.ever)) != 1:
            raise refuse("a window needs exactly one of within_days, between, since and ever")
        return self

    def bounds(self, now: dt.datetime) -> tuple[dt.datetime | None, dt.datetime]:
        """The earliest instant that counts (``None`` for no bound) and the first that counts no more."""
        end = now + MILLISECOND
        if self.within_days is not None:
            return now - dt.timedelta(days=self.within_days), end
        if self.between is not None:
            return read_instant(self.between.start), min(read_instant(self.between.end), end)
        return (None if self.since is None else read_instant(self.since)), end


EVER = Window(ever=True)


class Where(Frozen):
    """One more condition on a fact: a ``field`` of it, or a ``property`` that came with it."""

    field: str | None = None
    key: str | None = Field(default=None, alias="property")
    op: Op
    value: Any = None

    _property_is_a_key = field_validator("key")(check_key)

    @model_validator(mode="before")
    @classmethod
    def _fits_its_field(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        field, name, op = data.get("field"), data.get("property", data.get("key")), data.get("op")
        if (field is None) is (name is None):
            raise refuse("a filter needs exactly one of field and property")
        types = [fields[field] for fields in FACT_FIELDS.values() if isinstance(field, str) and field in fields]
        if field is not None and not types:
            known = sorted({key for fields in FACT_FIELDS.values() for key in fields})
            raise refuse(f"there is no such field of a fact; fields are {', '.join(known)}")
        if not isinstance(op, str) or op not in {item.value for item in Op}:
            return data
        type_ = types[0] if types else Type.JSON
        return {**data, "value": fits(lambda: check_value(Op(op), type_, data.get("value")))}

    @property
    def type(self) -> Type:
        """What sort of value is compared."""
        if self.field is None:
            return Type.JSON
        return next(fields[self.field] for fields in FACT_FIELDS.values() if self.field in fields)


class Aggregate(Frozen):
    """A number over the matching facts, compared: how many, or the sum, mean, least or most of an amount of money.

    Sums and counts over no fact are 0; there is no mean, least or most of nothing, so such a comparison is false.
    ``distinct`` counts different items, categories or channels. Money is in minor units.
    """

    function: Function
    of: str | None = None
    op: Op
    value: Any

    @field_validator("op")
    @classmethod
    def _comparison(cls, op: Op) -> Op:
        if op not in COMPARE and op is not Op.BETWEEN:
            raise refuse("a number is compared by eq, ne, gt, gte, lt, lte or between")
        return op

    @field_validator("value", mode="before")
    @classmethod
    def _value_fits(cls, value: Any, info: Any) -> Any:
        if "op" not in info.data:
            return value
        checked = fits(lambda: check_value(info.data["op"], Type.INTEGER, value))
        if any(abs(item) > LARGEST_AMOUNT for item in (checked if isinstance(checked, tuple) else (checked,))):
            raise refuse(f"the number is larger than {LARGEST_AMOUNT}")
        return checked

    @model_validator(mode="after")
    def _of_fits(self) -> Aggregate:
        allowed: tuple[str, ...] = MONEY if self.is_money else COUNTABLE if self.function == "distinct" else ()
        if self.of is not None and self.of not in allowed:
            meant = f"one of {', '.join(allowed)}" if allowed else "left out"
            raise refuse(f"'of' must be {meant} for {self.function}")
        return self

    @property
    def is_money(self) -> bool:
        """Whether it is about an amount of money."""
        return self.function in ("sum", "avg", "min", "max")

    @property
    def target(self) -> str:
        """What it is about; ``of`` or its default."""
        return self.of or ("item" if self.function == "distinct" else "amount")


class Happened(Frozen):
    """Something happened, or (``did`` false) did not: at least once, or as ``aggregate`` says."""

    did: StrictBool = True
    aggregate: Aggregate | None = None
    window: Window = EVER
    where: tuple[Where, ...] = Field(default=(), max_length=WIDEST)

    @property
    def source(self) -> str:
        """``event``, ``order`` or ``touch``."""
        raise TypeError("a fact or an order has a source")

    @property
    def uses_money(self) -> bool:
        """Whether amounts are compared; then only orders of one currency count."""
        return (self.aggregate is not None and self.aggregate.is_money) or any(w.field in MONEY for w in self.where)

    @model_validator(mode="after")
    def _fits_its_source(self) -> Happened:
        fields = FACT_FIELDS[self.source]
        for where in self.where:
            if where.field is not None and where.field not in fields:
                raise refuse(f"{_A[self.source]} has no {where.field}; fields are {', '.join(fields)}")
            if where.key is not None and self.source == "touch":
                raise refuse("a touch has no properties")
        if self.aggregate is not None and self.aggregate.function != "count":
            target = self.aggregate.target
            if target not in fields or (self.source == "order" and target in ("item", "category")):
                raise refuse(f"{_A[self.source]} has no {target} to take the {self.aggregate.function} of")
        return self


_A = {"event": "an event", "order": "an order", "touch": "a touch"}


class FactTest(Happened):
    """Events of one type; the types ``order`` and ``touch`` stand for all orders and all touches."""

    type: Key

    @property
    def source(self) -> str:
        """``event``, ``order`` or ``touch``."""
        return self.type if self.type in ("order", "touch") else "event"


class OrderTest(Happened):
    """Orders, by the time they were placed; amounts of ``currency`` only (the client's own unless given)."""

    status: tuple[Status, ...] = Field(default=(), max_length=6)
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None

    @property
    def source(self) -> str:
        """``order``."""
        return "order"
