"""Logs: structured, bound to the request, and without secrets whoever wrote them."""

from __future__ import annotations

import io
import json
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from fairlead.observability.logging import bound, configure_logging, get_logger

SECRETS = ("13812345678", "wang@example.com", "fl_" + "Ab1" * 14, "hunter2-s3cr3t")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    out = io.StringIO()
    configure_logging("info", json=True, stream=out)
    yield out
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_line_with_what_is_bound(stream: io.StringIO) -> None:
    with bound(request_id="r-1", client_id=7):
        get_logger("fairlead.test").info("imported", rows=3, name="订单")
    get_logger("fairlead.test").info("after")
    first, second = lines(stream)
    assert {key: first[key] for key in ("event", "rows", "name", "request_id", "client_id", "level", "logger")} == {
        "event": "imported",
        "rows": 3,
        "name": "订单",
        "request_id": "r-1",
        "client_id": 7,
        "level": "info",
        "logger": "fairlead.test",
    }
    assert first["timestamp"].endswith("Z")
    assert "request_id" not in second


def test_no_way_into_the_log_shows_a_secret(stream: io.StringIO) -> None:
    log, plain = get_logger("fairlead.test"), logging.getLogger("stranger")
    for secret in SECRETS:
        log.info(f"event with password={secret}")
        log.info("value", phone=secret, deep={"token": [secret]}, free=f"x password={secret} {secret[:0]}")
        plain.info("args password=%s", secret)
        plain.info("extra", extra={"app_secret": secret})
        plain.info("mapping password=%(x)s", {"x": secret})
        try:
            raise ValueError(f"could not parse {secret}")  # a stranger's text
        except ValueError:
            plain.error(traceback.format_exc())
            log.error("failed", exc_info=True)
            plain.exception("failed")
            plain.error("failed", exc_info=True, stack_info=True)
    assert len(lines(stream)) == 9 * len(SECRETS)
    assert not [secret for secret in SECRETS if secret in stream.getvalue()]


def test_an_exception_is_told_by_type_and_place(stream: io.StringIO) -> None:
    try:
        {}["wang"]
    except KeyError:
        logging.getLogger("stranger").exception("failed")
    (record,) = lines(stream)
    assert record["error"].startswith("KeyError in ")
    assert "wang" not in json.dumps(record)
    assert record["trace"][-1].startswith("observability/test_logging.py:")


def test_a_trace_written_as_text_keeps_its_places_and_types(stream: io.StringIO) -> None:
    try:
        try:
            {}["wang"]
        except KeyError as error:
            raise RuntimeError("for wang") from error
    except RuntimeError:
        logging.getLogger("stranger").error("startup failed\n%s", traceback.format_exc())
    text = lines(stream)[0]["event"]
    assert text.startswith("startup failed")
    assert "wang" not in text
    assert "KeyError" in text
    assert "RuntimeError" in text
    assert "test_logging.py:" in text


def test_our_own_refusals_keep_their_sentence(stream: io.StringIO) -> None:
    from fairlead.errors import Conflict

    try:
        raise Conflict("the client is archived")
    except Conflict:
        get_logger("x").warning("refused", exc_info=True)
    assert lines(stream)[0]["error"] == "Conflict: the client is archived"


def test_levels_hold_and_a_second_call_replaces_the_first(stream: io.StringIO) -> None:
    again = io.StringIO()
    configure_logging("warning", json=False, stream=again)
    get_logger("x").info("quiet")
    get_logger("x").warning("loud")
    assert stream.getvalue() == ""
    assert "loud" in again.getvalue()
    assert "quiet" not in again.getvalue()
    with pytest.raises(ValueError, match="log level"):
        configure_logging("chatty")
