"""Column types: instants, sealed personal data, JSON, 64-bit ids."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import mapped_column
from sqlalchemy.types import TypeDecorator

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)


def to_millis(instant: dt.datetime) -> int:
    """Epoch milliseconds of an aware datetime; raises ``ValueError`` for a naive one."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return (instant - EPOCH) // MILLISECOND


def from_millis(millis: int) -> dt.datetime:
    """The aware UTC datetime of epoch milliseconds."""
    return EPOCH + dt.timedelta(milliseconds=millis)


class Instant(TypeDecorator[dt.datetime]):
    """An aware datetime kept as epoch milliseconds, so both engines compare, index and add it as an integer."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | int | None, dialect: sa.Dialect) -> int | None:
        if value is None or isinstance(value, int):
            return value
        return to_millis(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> dt.datetime | None:
        return None if value is None else from_millis(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self if isinstance(value, dt.datetime) else sa.BigInteger()


class Sealed(bytes):
    """Ciphertext made by :class:`fairlead.storage.crypto.Vault`; the only thing a personal column accepts."""

    __slots__ = ()


class SealedBytes(TypeDecorator[Sealed]):
    """A personal column: plain text cannot be bound to it by mistake, and it comes back sealed."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Sealed | None, dialect: sa.Dialect) -> bytes | None:
        if value is not None and not isinstance(value, Sealed):
            raise TypeError("this column holds personal data or a secret: seal it with the vault first")
        return value

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> Sealed | None:
        return None if value is None else Sealed(value)


Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
BigInt = sa.BigInteger().with_variant(sa.Integer, "sqlite")

Id = Annotated[int, mapped_column(BigInt, primary_key=True, autoincrement=False)]
Ref = Annotated[int, mapped_column(sa.BigInteger)]
Name = Annotated[str, mapped_column(sa.String(80))]
Text = Annotated[str, mapped_column(sa.Text)]
JsonDict = Annotated[dict[str, Any], mapped_column(Json)]
JsonList = Annotated[list[Any], mapped_column(Json)]
Blind = Annotated[bytes, mapped_column(sa.LargeBinary(16))]
