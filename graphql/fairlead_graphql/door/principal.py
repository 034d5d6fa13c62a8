"""Who asks. Nobody is a value of its own that can do nothing, never ``None``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from fairlead.errors import Unauthenticated


class Principal(Protocol):
    """A known caller.

    ``key`` tells callers apart for fair sharing of threads; it is an id, never a name, a secret or a person's data.
    """

    @property
    def key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular: may ask for the fields of the public list and nothing else."""

    @property
    def key(self) -> str:
        """The one key shared by all strangers, so that together they hold no more threads than one caller."""
        return "anonymous"


ANONYMOUS = Anonymous()


def certain(found: object) -> Principal | Anonymous:
    """The result of an authentication, refused unless it is exactly a principal or :data:`ANONYMOUS`.

    Raises :class:`fairlead.errors.Unauthenticated` for anything else, so that an authentication that forgot to answer
    never counts as somebody.
    """
    if isinstance(found, Anonymous):
        return found
    # Not isinstance(): checking a protocol at run time costs more than the rest of the gate.
    key = getattr(found, "key", None)
    if isinstance(key, str) and key not in ("", ANONYMOUS.key):
        return cast("Principal", found)
    raise Unauthenticated("Nobody was recognised.", next_step="Send a valid API token as 'Authorization: Bearer …'.")


def principal_of(context: object) -> Principal | Anonymous:
    """The caller of a resolver context: its ``principal`` attribute, :data:`ANONYMOUS` when there is none."""
    try:
        return certain(getattr(context, "principal", ANONYMOUS))
    except Unauthenticated:
        return ANONYMOUS
