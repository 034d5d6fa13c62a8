"""Structured logs on stderr: JSON for machines, a console form for people, and every record through one redaction.

Records of the standard library (uvicorn, SQLAlchemy, plugins) take the same road. An exception is logged by its type
and the places it went through; its text is left out unless it comes from one of our own ladders, because strangers'
exceptions quote the data they failed on.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fairlead.engine.attempt import describe
from fairlead.observability.redact import HIDDEN, is_sensitive_key, redact

LEVELS = ("debug", "info", "warning", "error")
_FRAMES = 12
_TRACE = "Traceback (most recent call last):"
_TRACE_LINE = re.compile(
    r'^\s*(?:\|\s*)*(?:File "(?P<file>[^"\n]*)", line (?P<line>\d+)'
    r"|(?P<type>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt))\b)",
    re.MULTILINE,
)
# Written by structlog and by us, never by a caller; hiding nothing here keeps instants and levels readable.
_OURS = frozenset({"timestamp", "level", "logger", "client_id", "request_id"})


def configure_logging(level: str = "info", *, json: bool = True, stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (stderr by default). Calling it again replaces the former choice."""
    if level not in LEVELS:
        raise ValueError(f"the log level must be one of {', '.join(LEVELS)}")
    stream = stream or sys.stderr
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                explain_exception,
                hide_sensitive,
                last,
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "fairlead", False):
            root.removeHandler(old)
    handler.fairlead = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # An access line holds the whole URL, and query strings hold tokens; requests are counted by the metrics.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    for chatty in ("httpx2", "httpcore2", "sqlalchemy.engine", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get_logger(name: str) -> Any:
    """A logger for ``log.info("what happened", client_id=…, count=…)``; values are ids and counts."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def bound(**values: object) -> Iterator[None]:
    """Add ``request_id``, ``client_id`` and the like to every record made inside, in this thread or task."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


def hide_sensitive(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that hides what must not be read; it sees every value that would be written."""
    return {
        key: value
        if key in _OURS and isinstance(value, str | int) and len(str(value)) <= 64
        else HIDDEN
        if is_sensitive_key(key) and value is not None
        else redact(value)
        for key, value in event.items()
    }


def explain_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put ``error`` and ``trace`` in the place of an exception."""
    found = event.pop("exc_info", None)
    event.pop("exception", None)
    event.pop("stack_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["error"] = describe(error)
        event["trace"] = _places(error.__traceback__)
    # uvicorn's coloured copy of the message would say everything twice.
    event.pop("color_message", None)
    return {key: shorten_trace(value) if isinstance(value, str) else value for key, value in event.items()}


def shorten_trace(text: str) -> str:
    """A stack trace that somebody wrote as text, cut to the places and the types of its exceptions."""
    if _TRACE not in text:
        return text
    before, _, trace = text.partition(_TRACE)
    kept = [
        f"{place['file'].replace(chr(92), '/').rpartition('/')[2]}:{place['line']}" if place["file"] else place["type"]
        for place in _TRACE_LINE.finditer(trace)
    ]
    return f"{before}{' '.join(kept[-_FRAMES:])}"


def _places(trace: TracebackType | None) -> list[str]:
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{'/'.join(code.co_filename.rsplit('/', 2)[-2:])}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places[-_FRAMES:]
