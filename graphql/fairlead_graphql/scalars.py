"""Values the schema shares: money, JSON, the node interface."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from fairlead.customers.cells import MINOR_DIGITS


@strawberry.interface(description="Anything with a global id.")
class Node:
    """Relay's node."""

    id: strawberry.ID = strawberry.field(description="Global id, opaque and stable.")


@strawberry.type(description="A name or sentence for people, in both languages.")
class Title:
    """Words in Chinese and English."""

    zh: str = strawberry.field(description="In Chinese.")
    en: str = strawberry.field(description="In English.")


@strawberry.type(description="An amount of money in major units.")
class Money:
    """Money as shops write it."""

    amount: Decimal = strawberry.field(description="The amount in major units, exact.")
    currency: str = strawberry.field(description="ISO 4217 code.")


def money(minor: int | None, currency: str) -> Money | None:
    """Money from minor units."""
    if minor is None:
        return None
    item = object.__new__(Money)
    item.amount = Decimal(minor).scaleb(-MINOR_DIGITS.get(currency, 2))
    item.currency = currency
    return item
