"""What request and response heads say: media types in, the headers of every JSON answer out."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from strawberry.http.parse_content_type import parse_content_type


def is_json(content_type: str) -> bool:
    """Whether a body is declared as JSON in UTF-8."""
    if content_type == "application/json":
        return True
    kind, parameters = parse_content_type(content_type)
    charset = parameters.get("charset", "utf-8").strip("\"'").lower()
    return kind.lower() == "application/json" and charset in ("utf-8", "utf8")


def accepts_events(request: Request) -> bool:
    """Whether the caller wants an event stream."""
    accept = request.headers.get("accept", "").lower()
    return "text/event-stream" in accept and any(
        part.split(";", 1)[0].strip() == "text/event-stream" for part in accept.split(",")
    )


def json_response(body: bytes, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer, never kept by a cache."""
    return Response(
        body,
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
