"""The leaves of the rule language: what one condition says, checked as far as it can be without a database."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fairlead.audiences.values import Op, Type, check_value

WIDEST = 250
BUCKETS = 10_000

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

_KEY = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]{1,80}')
_REGION = re.compile(r"\d{2}(\d{2}){0,2}(\d{3}){0,2}")

Key = Annotated[str, Field(min_length=1, max_length=80)]


class Frozen(BaseModel):
    """Immutable and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def spelled(self) -> str:
        """A text that only a test with the same meaning has; ``==`` would take ``1`` and ``true`` for the same."""
        return type(self).__name__ + self.model_dump_json(by_alias=True)


def refuse(sentence: str) -> PydanticCustomError:
    """The error by which a validator refuses with one sentence for a person."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence})


def fits(check: Callable[[], Any]) -> Any:
    """Run a check that raises ``ValueError`` with one sentence, and give pydantic that sentence alone."""
    try:
        return check()
    except ValueError as error:
        raise refuse(str(error)) from None


def check_key(name: str | None) -> str | None:
    """Refuse a name that SQLite's JSON paths could not spell."""
    if name is not None and not _KEY.fullmatch(name):
        raise refuse("a name has 1 to 80 characters, without quotes, backslashes and control characters")
    return name


# -- conditions about the person --------------------------------------------------------------------------------------


class AttributeTest(Frozen):
    """An attribute compared with a value: ``{"name": "age", "op": "between", "value": [25, 30]}``."""

    name: str
    op: Op
    value: Any = Field(default=None, validate_default=True)

    _name_is_a_key = field_validator("name")(check_key)

    @field_validator("value", mode="before")
    @classmethod
    def _value_fits(cls, value: Any, info: Any) -> Any:
        if "name" not in info.data or "op" not in info.data:
            return value
        return fits(lambda: check_value(info.data["op"], cls.type_of(info.data["name"]), value))

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
        return fits(lambda: check_value(info.data["op"], Type.NUMBER, value)) if "op" in info.data else value


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
            raise refuse("a region is a GB/T 2260 code: 2, 4, 6, 9 or 12 digits, such as 44 for Guangdong")
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
            raise refuse("'to' must be greater than 'from'; 10 % is from 0 to 1000")
        return self


class OperatorTest(Frozen):
    """A condition that a plugin brings, with its arguments."""

    name: Key
    arguments: dict[str, Any] = Field(default_factory=dict)
