"""What the domain says when it refuses, sorted by what the caller can do about it.

Every refusal carries a stable ``code``, a sentence for a person, the ``path`` of the input it is about (as GraphQL
path segments), and the ``next_step`` that would make it succeed. Errors of outside platforms are another ladder:
:mod:`fairlead.plugins.errors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PathSegment = str | int


class Verbatim(str):
    """A path segment that is the caller's own word, such as a node's id or a key in a JSON object: never respelled."""

    __slots__ = ()


class DomainError(Exception):
    """A refusal that a caller is meant to see; anything else is a bug and is masked at the API."""

    code = "REFUSED"

    def __init__(self, message: str, *, path: Sequence[PathSegment] = (), next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)
        self.next_step = next_step


class Unauthenticated(DomainError):
    """Nobody is asking: no token, or one that is unknown, expired or revoked."""

    code = "UNAUTHENTICATED"


class Forbidden(DomainError):
    """Somebody known is asking for what their permissions do not cover."""

    code = "FORBIDDEN"


class NotFound(DomainError):
    """The thing does not exist for this caller; another client's thing is not told apart from none."""

    code = "NOT_FOUND"


class InvalidInput(DomainError):
    """The input is not acceptable; ``path`` says which part."""

    code = "BAD_USER_INPUT"


class Conflict(DomainError):
    """The state moved on, or the same key was used for something else."""

    code = "CONFLICT"


class PluginOff(DomainError):
    """The plugin that would answer is not switched on for this client."""

    code = "PLUGIN_OFF"


class LimitReached(DomainError):
    """A stated limit would be exceeded."""

    code = "LIMIT_REACHED"


class Unavailable(DomainError):
    """The work cannot be done now and can be tried again later."""

    code = "UNAVAILABLE"


class Refusals(DomainError):
    """Several refusals of one input, all reported together."""

    code = "BAD_USER_INPUT"

    def __init__(self, errors: Iterable[DomainError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(error.message for error in self.errors))
