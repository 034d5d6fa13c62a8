"""The leaves of the rule language: what one condition says, checked as far as it can be without a database."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool, StrictInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fairlead.audiences.values import COMPARE, Op, Type, check_value, read_instant, write_instant

WIDEST = 250
BUCKETS = 10_000
LONGEST_DAYS = 3650
LARGEST_AMOUNT = 10**12

BUILT_IN: Mapping[str, Type] = {
    "gender": Type.TEXT,
    "age": Type.INTEGER,
    "birth_date": Type.DATE,
    "region": Type.TEXT,
    "language": Type.TEXT,
    "zone": Type.TEXT,
    "created_at": Type.INSTANT,
}
"""Attributes that are columns of a profile (``age`` follows from ``birth_date``); every other name is a free one."""

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

_KEY = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]{1,80}')
_REGION = re.compile(r"\d{2}(\d{2}){0,2}(\d{3}){0,2}")

Function = Literal["count", "sum", "avg", "min", "max", "distinct"]
Status = Literal["created", "paid", "shipped", "finished", "closed", "refunded"]
Key = Annotated[str, Field(min_length=1, max_length=80)]


class Frozen(BaseModel):
    """Immutable, hashable, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _refuse(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence})


def _fits(check: Callable[[], Any]) -> Any:
    """Run a check that raises ``ValueError`` with one sentence, and give pydantic that sentence alone."""
    try:
        return check()
    except ValueError as error:
        raise _refuse(str(error)) from None


def _key(name: str | None) -> str | None:
    if name is not None and not _KEY.fullmatch(name):
        raise _refuse("a name has 1 to 80 characters, without quotes, backslashes and control characters")
    return name


# -- conditions about the person --------------------------------------------------------------------------------------


class AttributeTest(Frozen):
    """An attribute compared with a value: ``{"name": "age", "op": "between", "value": [25, 30]}``."""

    name: str
    op: Op
    value: Any = Field(default=None, validate_default=True)

    _name_is_a_key = field_validator("name")(_key)

    @field_validator("value", mode="before")
    @classmethod
    def _value_fits(cls, value: Any, info: Any) -> Any:
        if "name" not in info.data or "op" not in info.data:
            return value
        return _fits(lambda: check_value(info.data["op"], cls.type_of(info.data["name"]), value))

    @staticmethod
    def type_of(name: str) -> Type:
        """What sort of value the attribute has."""
        return BUILT_IN.get(name, Type.JSON)

    @property
    def type(self) -> Type:
        """What sort of value is compared."""
        return self.type_of(self.name)


class TagTest(Frozen):
    """The person has the tag."""

    name: Key


class SegmentTest(Frozen):
    """The rule of another segment holds now, whenever that segment was refreshed last."""

    name: Key


class ScoreTest(Frozen):
    """The stored score of a scheme compared with a number."""

    scheme: Key
    op: Op
    value: Any = Field(default=None, validate_default=True)

    @field_validator("value", mode="before")
    @classmethod
    def _value_fits(cls, value: Any, info: Any) -> Any:
        return _fits(lambda: check_value(info.data["op"], Type.NUMBER, value)) if "op" in info.data else value


class StageTest(Frozen):
    """The person is in one of these life-cycle stages."""

    among: tuple[Key, ...] = Field(alias="in", min_length=1, max_length=WIDEST)


class ConsentTest(Frozen):
    """The consent for a purpose holds now. The word on the channel itself counts, else the one on all channels."""

    purpose: Annotated[str, Field(min_length=1, max_length=24)]
    channel: Annotated[str, Field(min_length=1, max_length=40)] = "*"


class IdentityTest(Frozen):
    """The person has an active identity of this kind: they can be reached by it."""

    kind: Annotated[str, Field(min_length=1, max_length=24)]


class RegionTest(Frozen):
    """The region lies within a GB/T 2260 code: ``44`` and ``440000`` are all of Guangdong, ``4401`` is Guangzhou."""

    within: str

    @field_validator("within")
    @classmethod
    def _code(cls, code: str) -> str:
        if not _REGION.fullmatch(code) or not code.isascii():
            raise _refuse("a region is a GB/T 2260 code: 2, 4, 6, 9 or 12 digits, such as 44 for Guangdong")
        return code

    @property
    def prefix(self) -> str:
        """The code without the groups of zeros that only fill it up."""
        code = self.within
        while len(code) > 2:
            size = 3 if len(code) > 6 else 2
            if code[-size:].strip("0"):
                break
            code = code[:-size]
        return code


class BucketTest(Frozen):
    """A stable random part of everybody: the buckets ``from`` (included) to ``to`` (not included) of 0 to 10000.

    The same salt gives the same parts in every rule, another salt independent ones.
    """

    salt: Annotated[str, Field(max_length=80)]
    start: Annotated[StrictInt, Field(ge=0, lt=BUCKETS)] = Field(alias="from")
    end: Annotated[StrictInt, Field(gt=0, le=BUCKETS)] = Field(alias="to")

    @model_validator(mode="after")
    def _rises(self) -> BucketTest:
        if self.start >= self.end:
            raise _refuse("'to' must be greater than 'from'; 10 % is from 0 to 1000")
        return self


class OperatorTest(Frozen):
    """A condition that a plugin brings, with its arguments."""

    name: Key
    arguments: dict[str, Any] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.name)


# -- conditions about facts -------------------------------------------------------------------------------------------


class Between(Frozen):
    """From an instant (included) to another (not included)."""

    start: str = Field(alias="from")
    end: str = Field(alias="to")

    @field_validator("start", "end")
    @classmethod
    def _instants(cls, text: str) -> str:
        return str(_fits(lambda: write_instant(read_instant(text))))

    @model_validator(mode="after")
    def _rises(self) -> Between:
        if read_instant(self.start) >= read_instant(self.end):
            raise _refuse("'to' must be later than 'from'")
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
        return None if text is None else str(_fits(lambda: write_instant(read_instant(text))))

    @model_validator(mode="after")
    def _one(self) -> Window:
        if sum(value is not None for value in (self.within_days, self.between, self.since, self.ever)) != 1:
            raise _refuse("a window needs exactly one of within_days, between, since and ever")
        return self


EVER = Window(ever=True)


class Where(Frozen):
    """One more condition on a fact: a ``field`` of it, or a ``property`` that came with it."""

    field: str | None = None
    key: str | None = Field(default=None, alias="property")
    op: Op
    value: Any = None

    _property_is_a_key = field_validator("key")(_key)

    @model_validator(mode="before")
    @classmethod
    def _fits_its_field(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        field, name, op = data.get("field"), data.get("property", data.get("key")), data.get("op")
        if (field is None) is (name is None):
            raise _refuse("a filter needs exactly one of field and property")
        types = [fields[field] for fields in FACT_FIELDS.values() if isinstance(field, str) and field in fields]
        if field is not None and not types:
            known = sorted({key for fields in FACT_FIELDS.values() for key in fields})
            raise _refuse(f"there is no such field of a fact; fields are {', '.join(known)}")
        if not isinstance(op, str) or op not in {item.value for item in Op}:
            return data
        type_ = types[0] if types else Type.JSON
        return {**data, "value": _fits(lambda: check_value(Op(op), type_, data.get("value")))}

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
            raise _refuse("a number is compared by eq, ne, gt, gte, lt, lte or between")
        return op

    @field_validator("value", mode="before")
    @classmethod
    def _value_fits(cls, value: Any, info: Any) -> Any:
        if "op" not in info.data:
            return value
        checked = _fits(lambda: check_value(info.data["op"], Type.INTEGER, value))
        if any(abs(item) > LARGEST_AMOUNT for item in (checked if isinstance(checked, tuple) else (checked,))):
            raise _refuse(f"the number is larger than {LARGEST_AMOUNT}")
        return checked

    @model_validator(mode="after")
    def _of_fits(self) -> Aggregate:
        allowed: tuple[str, ...] = MONEY if self.is_money else COUNTABLE if self.function == "distinct" else ()
        if self.of is not None and self.of not in allowed:
            meant = f"one of {', '.join(allowed)}" if allowed else "left out"
            raise _refuse(f"'of' must be {meant} for {self.function}")
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
        raise TypeError("only a fact or an order has a source")

    @property
    def uses_money(self) -> bool:
        """Whether amounts are compared; then only orders of one currency count."""
        return (self.aggregate is not None and self.aggregate.is_money) or any(w.field in MONEY for w in self.where)

    @model_validator(mode="after")
    def _fits_its_source(self) -> Happened:
        fields = FACT_FIELDS[self.source]
        for where in self.where:
            if where.field is not None and where.field not in fields:
                raise _refuse(f"{_A[self.source]} has no {where.field}; fields are {', '.join(fields)}")
            if where.key is not None and self.source == "touch":
                raise _refuse("a touch has no properties")
        if self.aggregate is not None and self.aggregate.function != "count":
            target = self.aggregate.target
            if target not in fields or (self.source == "order" and target in ("item", "category")):
                raise _refuse(f"{_A[self.source]} has no {target} to take the {self.aggregate.function} of")
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
