"""Fields that many inputs share, described once."""

from __future__ import annotations

from typing import Any

import strawberry


def client_slug() -> Any:
    """The field ``client`` of an input."""
    return strawberry.field(description="Slug of the client.")


def idempotency_key() -> Any:
    """The field ``idempotency_key`` of an input."""
    return strawberry.field(
        default=strawberry.UNSET,
        description="The same key and input within 24 hours do it once and answer the same; 1 to 80 characters.",
    )


def optional(description: str) -> Any:
    """A field that may be left out."""
    return strawberry.field(default=strawberry.UNSET, description=description)


def errors() -> Any:
    """The field ``errors`` of a payload."""
    return strawberry.field(description="Why it was refused; empty when it was done.")
