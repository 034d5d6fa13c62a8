"""What a caller is told when something is refused, and what the operator is told when something broke.

Client errors are counted, never logged: their text is the client's own. Only exceptions nobody meant to raise are
logged, by type, schema path and code position, without messages and values. Every error an answer carries has
``extensions.code``; the codes for request errors are those of Apollo Server.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from graphql.language import Visitor, visit
from prometheus_client import Counter

from fairlead.errors import DomainError, Refusals
from graphql import DocumentNode, FieldNode, GraphQLError, GraphQLSyntaxError

BAD_REQUEST = "BAD_REQUEST"
BAD_USER_INPUT = "BAD_USER_INPUT"
PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
INTERNAL = "INTERNAL_SERVER_ERROR"
UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"
UNAVAILABLE = "UNAVAILABLE"
TIMEOUT = "TIMEOUT"
ANSWER_TOO_LARGE = "ANSWER_TOO_LARGE"
QUERY_TOO_LARGE = "QUERY_TOO_LARGE"
QUERY_TOO_DEEP = "QUERY_TOO_DEEP"
QUERY_TOO_EXPENSIVE = "QUERY_TOO_EXPENSIVE"
QUERY_TOO_WIDE = "QUERY_TOO_WIDE"

MASKED = "Something broke on our side. Quote the request id when you report it."

log = structlog.get_logger("fairlead.graphql")

ERRORS = Counter("fairlead_graphql_errors", "Errors in GraphQL answers, by code.", ["code"])
# A code comes from our own classes, but a plugin may invent some: the label stays bounded.
_CODES: set[str] = set()
_MAX_CODES = 100


class Refused(Exception):
    """A request that is answered before GraphQL is asked.

    ``status`` is the HTTP status, ``code`` goes to ``extensions.code``, ``headers`` are added to the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The answer: a GraphQL result with one error and no data."""
        return {"errors": [{"message": self.message, "extensions": {"code": self.code}}]}


def refusal(code: str, message: str, **extensions: Any) -> GraphQLError:
    """A typed request error of the door."""
    return GraphQLError(message, extensions={"code": code, **extensions})


def bad_request(message: str) -> Refused:
    """400 BAD_REQUEST."""
    return Refused(400, BAD_REQUEST, message)


def count(code: str) -> None:
    """Add one to the counter of ``code``; codes beyond the hundredth are counted as ``OTHER``."""
    if code not in _CODES:
        if len(_CODES) >= _MAX_CODES:
            code = "OTHER"
        else:
            _CODES.add(code)
    ERRORS.labels(code=code).inc()


# -- from an error to what the caller reads -------------------------------------------------------------------------


def public_errors(errors: Iterable[GraphQLError], most: int) -> list[GraphQLError]:
    """At most ``most`` errors, each with a code and without anything the caller may not see."""
    public: list[GraphQLError] = []
    for error in errors:
        public.extend(_public(error))
        if len(public) >= most:
            break
    return public[:most]


def unhandled(error: GraphQLError) -> BaseException | None:
    """The exception nobody meant to raise behind ``error``; ``None`` when the error is a refusal."""
    if error.extensions and "code" in error.extensions:
        return None
    cause = root_cause(error)
    if isinstance(cause, DomainError):
        return None
    if error.path is None:
        # Before the first field: parsing, validating and coercing variables. Strawberry wraps what its own scalars
        # refuse in a GraphQLError, so a plain exception here is a bug of an extension or a scalar.
        return cause if cause is not None and not isinstance(error.original_error, GraphQLError) else None
    if cause is None and _ARGUMENT.match(error.message):
        return None
    # A GraphQLError without a code comes from a result that does not fit its type, unless somebody raised it by hand;
    # its text holds the value, so it is masked as well.
    return cause or error


def root_cause(error: GraphQLError) -> BaseException | None:
    """The first exception in the chain that is not a GraphQLError."""
    cause: BaseException | None = error
    for _ in range(20):
        if not isinstance(cause, GraphQLError):
            return cause
        cause = cause.original_error
    return None


def _public(error: GraphQLError) -> Sequence[GraphQLError]:
    cause = root_cause(error)
    if isinstance(cause, Refusals) and cause.errors:
        return [_domain(error, each) for each in cause.errors]
    if isinstance(cause, DomainError):
        return [_domain(error, cause)]
    if error.extensions and "code" in error.extensions:
        return [_copy(error, error.message, dict(error.extensions))]
    if isinstance(error, GraphQLSyntaxError):
        return [_copy(error, error.message, {"code": PARSE_FAILED})]
    if unhandled(error) is not None:
        return [_copy(error, MASKED, {"code": INTERNAL})]
    if isinstance(error.original_error, GraphQLError) or _VARIABLE.match(error.message) or error.path is not None:
        message, path = without_values(error.message)
        return [_copy(error, message, {"code": BAD_USER_INPUT, **({"path": path} if path else {})})]
    return [_copy(error, error.message, {"code": BAD_USER_INPUT})]


def _domain(error: GraphQLError, refused: DomainError) -> GraphQLError:
    extensions: dict[str, Any] = {"code": refused.code}
    if refused.path:
        extensions["path"] = list(refused.path)
    if refused.next_step:
        extensions["nextStep"] = refused.next_step
    return _copy(error, refused.message, extensions)


def _copy(error: GraphQLError, message: str, extensions: dict[str, Any]) -> GraphQLError:
    # A copy, because errors of a cached document are shared between requests.
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )


_VARIABLE = re.compile(r"Variable '\$(\w+)' has invalid (?:default )?value(?: at ([\w.\[\]]+))?: ")
_ARGUMENT = re.compile(r"Argument '(\w+)' ")
_REASONS = (
    re.compile(r"Expected a value of non-null type '[\w!\[\]]+' to be provided"),
    re.compile(r"Expected variable '\$\w+' provided to (?:non-null )?type '[\w!\[\]]+' not to be"),
    re.compile(r"Expected value of (?:non-null )?type '[\w!\[\]]+' (?:to be an object|not to be None)"),
    re.compile(r"Expected value of (?:non-null )?type '[\w!\[\]]+' to include required field '\w+'"),
    re.compile(r"Expected value of (?:OneOf )?type '\w+' not to include unknown field"),
    re.compile(r"Exactly one key must be specified for OneOf type '\w+'"),
    re.compile(r"\w+ cannot represent (?:an? \w+|(?:a )?non[\w -]*? value)"),
)
_NOT_IN_ENUM = re.compile(r"Value .* does not exist in '(\w+)' enum\.", re.DOTALL)


def without_values(message: str) -> tuple[str, list[str | int]]:
    """A coercion message of graphql-core with every value taken out, and the input path it is about.

    A rejected variable may be a phone number, and what is in an answer ends in somebody's log.
    """
    path: list[str | int] = []
    match = _VARIABLE.match(message)
    if match:
        subject, rest = f"Variable '${match[1]}' is not acceptable", message[match.end() :]
        path.append(match[1])
        path += [int(step) if step.isdigit() else step for step in re.findall(r"\w+", match[2] or "")]
        if match[2]:
            subject += f" at {match[2].lstrip('.')}"
    elif match := _ARGUMENT.match(message):
        subject, rest = f"Argument '{match[1]}' is not acceptable", message[match.end() :]
        path.append(match[1])
    else:
        return "The input is not acceptable.", path
    # From the start of the reason only: a value may spell anything, reasons included.
    rest = rest.removeprefix("has invalid value: ")
    for reason in _REASONS:
        if found := reason.match(rest):
            return f"{subject}: {found[0]}.", path
    if found := _NOT_IN_ENUM.fullmatch(rest):
        return f"{subject}: it is no value of '{found[1]}'.", path
    return f"{subject}.", path


# -- from an error to what the operator reads -----------------------------------------------------------------------


def report(errors: Iterable[GraphQLError], document: DocumentNode | None) -> None:
    """Count every error by its code and log those nobody meant, without a word of the client or of the exception."""
    for error in errors:
        for public in _public(error):
            count(str((public.extensions or {}).get("code", INTERNAL)))
        cause = unhandled(error)
        if cause is not None:
            log_unhandled(cause, schema_path(error.path, document))


def log_unhandled(cause: BaseException, path: str) -> None:
    """One line for the operator: the exception's type, where in the schema and where in the code."""
    frames = traceback.extract_tb(cause.__traceback__)[-6:]
    log.error(
        "unhandled exception",
        type=f"{type(cause).__module__}.{type(cause).__qualname__}",
        path=path,
        where=[f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames],
    )


def schema_path(path: Sequence[str | int] | None, document: DocumentNode | None) -> str:
    """An error's path in words of the schema: aliases, which are the client's text, become field names."""
    if not path or document is None:
        return ""
    names = _Names()
    visit(document, names)
    return ".".join("[]" if isinstance(step, int) else names.found.get(step, "?") for step in path)


class _Names(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        key = node.alias.value if node.alias else node.name.value
        self.found.setdefault(key, node.name.value)
