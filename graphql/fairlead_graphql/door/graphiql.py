"""GraphiQL, served from files in this package: no CDN, no inline script, and only where it is allowed."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from html import escape
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_FILES = files("fairlead_graphql").joinpath("static", "graphiql")
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
# Versions are part of the names, so a browser may keep what it has.
_ASSETS = (
    "react-18.3.1.production.min.js",
    "react-dom-18.3.1.production.min.js",
    "graphiql-3.8.3.min.js",
    "graphiql-3.8.3.min.css",
)
_OWN = ("fairlead.js", "fairlead.css")
# GraphiQL's icons and fonts are data: URLs, and its editor sets styles of elements.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fairlead GraphiQL</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{prefix}/static/graphiql-3.8.3.min.css">
<link rel="stylesheet" href="{prefix}/static/fairlead.css">
</head>
<body>
<form id="token-form">
<label for="token">API token</label>
<input id="token" type="password" autocomplete="off" spellcheck="false" placeholder="fl_…">
<button type="submit">Use</button>
<span>Sent as <code>Authorization: Bearer …</code>, kept until this tab is closed.</span>
</form>
<div id="graphiql" data-endpoint="{endpoint}">Loading GraphiQL …</div>
<script src="{prefix}/static/react-18.3.1.production.min.js"></script>
<script src="{prefix}/static/react-dom-18.3.1.production.min.js"></script>
<script src="{prefix}/static/graphiql-3.8.3.min.js"></script>
<script src="{prefix}/static/fairlead.js"></script>
</body>
</html>
"""


class GraphiQL:
    """The explorer page and its files.

    ``endpoint`` is the path of the GraphQL API, ``prefix`` the path of the page; a deployment that does not allow the
    page mounts no routes, which :meth:`routes` does when ``enabled`` is false.
    """

    def __init__(self, *, enabled: bool, endpoint: str = "/graphql", prefix: str = "/graphiql") -> None:
        self.enabled = enabled
        self.prefix = prefix.rstrip("/")
        self._page = _PAGE.format(prefix=escape(self.prefix), endpoint=escape(endpoint)).encode()

    def routes(self) -> list[BaseRoute]:
        """Routes for the page and its files, none when it is not enabled."""
        if not self.enabled:
            return []
        return [
            Route(self.prefix or "/", self._serve_page, methods=["GET"], name="graphiql"),
            *static_routes(f"{self.prefix}/static"),
        ]

    async def _serve_page(self, _: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return Response(self._page, media_type="text/html", headers=headers)


def static_routes(prefix: str = "/graphiql/static") -> list[BaseRoute]:
    """One route per vendored file, below ``prefix``: a fixed list, so no path can leave the folder."""
    return [
        Route(f"{prefix}/{name}", _asset(name), methods=["GET"], name=f"graphiql-{name}") for name in _ASSETS + _OWN
    ]


def read_asset(name: str) -> bytes:
    """The content of a vendored file, unpacked."""
    if name in _OWN:
        return _FILES.joinpath(name).read_bytes()
    return gzip.decompress(_FILES.joinpath(f"{name}.gz").read_bytes())


def _asset(name: str) -> Callable[[Request], Response]:
    packed = name in _ASSETS
    keep = "public, max-age=31536000, immutable" if packed else "no-cache"
    headers = {"Cache-Control": keep, "Vary": "Accept-Encoding"}

    def serve(request: Request) -> Response:
        accepted = [part.split(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")]
        kind = _TYPES[name.rsplit(".", 1)[1]]
        if packed and "gzip" in accepted:
            content = _FILES.joinpath(f"{name}.gz").read_bytes()
            return Response(content, headers={**headers, "Content-Type": kind, "Content-Encoding": "gzip"})
        return Response(read_asset(name), headers={**headers, "Content-Type": kind})

    return serve
