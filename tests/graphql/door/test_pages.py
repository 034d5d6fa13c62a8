"""GraphiQL's page and files, and the headers of every answer."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from fairlead_graphql.door import GraphiQL, middleware
from fairlead_graphql.door.graphiql import read_asset


@pytest.fixture
def client():
    return TestClient(Starlette(routes=GraphiQL(enabled=True).routes(), middleware=middleware()))


def test_the_page_runs_no_inline_script_and_loads_nothing_from_elsewhere(client):
    page = client.get("/graphiql")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'; script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert re.findall(r"<script(?! src=)", page.text) == []
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 7
    for link in links:
        if link != "data:,":
            assert link.startswith("/graphiql/static/")
            assert client.get(link).status_code == 200
    assert 'id="token"' in page.text
    assert 'data-endpoint="/graphql"' in page.text


def test_files_are_sent_packed_and_unpacked(client):
    path = "/graphiql/static/graphiql-3.8.3.min.js"
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert "immutable" in plain.headers["cache-control"]
    assert plain.headers["content-type"].startswith("text/javascript")
    for path in ("/graphiql/static/README.md", "/graphiql/static/..%2f..%2fdoor/app.py", "/graphiql/static/"):
        assert client.get(path).status_code == 404


def test_the_vendored_files_are_the_published_ones():
    text = files("fairlead_graphql").joinpath("static/graphiql/README.md").read_text("utf-8")
    listed = re.findall(r"`(\S+)\.gz` \| `\S+@\S+` .*`([0-9a-f]{64})`", text)
    assert len(listed) == 4
    for name, digest in listed:
        assert hashlib.sha256(read_asset(name)).hexdigest() == digest


def test_where_it_is_not_allowed_there_is_no_page():
    assert GraphiQL(enabled=False).routes() == []


def test_paths_are_escaped_in_the_page():
    page = TestClient(Starlette(routes=GraphiQL(enabled=True, endpoint='/g"><script>').routes())).get("/graphiql").text
    assert 'data-endpoint="/g&quot;&gt;&lt;script&gt;"' in page


def app(**settings):
    def echo(request):
        return PlainTextResponse(request.state.request_id, headers={"X-Frame-Options": "SAMEORIGIN"})

    routes = [Route("/", echo, methods=["GET", "POST"]), Route("/page/", echo)]
    made = Starlette(routes=routes, middleware=middleware(**settings))
    made.router.redirect_slashes = False
    return TestClient(made)


def test_every_answer_is_careful():
    for path in ("/", "/nothing"):
        headers = app().get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert app().get("/").headers["x-frame-options"] == "SAMEORIGIN"
    assert app().get("/nothing").headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("offered", ["abcdefgh", "0190a-b.c_d" * 3, "A" * 64])
def test_a_sane_request_id_is_taken_over(offered):
    response = app().get("/", headers={"X-Request-Id": offered})
    assert response.headers["x-request-id"] == response.text == offered


@pytest.mark.parametrize(
    "offered", ["", "short", "A" * 65, "with space in it", "new\\nline-xxxx", "<script>alert", "-abcdefgh"]
)
def test_any_other_is_replaced(offered):
    response = app().get("/", headers={"X-Request-Id": offered})
    assert response.text != offered
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


def test_hosts_are_checked_where_they_are_listed():
    client = app(allowed_hosts=["api.example", "*.good.example"])
    assert client.get("/", headers={"Host": "api.example"}).status_code == 200
    assert client.get("/", headers={"Host": "a.good.example"}).status_code == 200
    refused = client.get("/", headers={"Host": "evil.example"})
    assert refused.status_code == 400
    assert refused.headers["x-content-type-options"] == "nosniff"


def test_no_redirect_repeats_the_host():
    for path in ("/page", "/nothing/"):
        response = app().get(path, headers={"Host": "evil.example"}, follow_redirects=False)
        assert response.status_code == 404
        assert "location" not in response.headers


def test_cors_is_off_unless_origins_are_listed():
    origin = {"Origin": "https://app.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert "access-control-allow-origin" not in app().get("/", headers=origin).headers
    assert app().options("/", headers=asked).status_code == 405
    client = app(cors_origins=["https://app.example"])
    assert client.options("/", headers=asked).headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in client.options("/", headers=asked).headers
    assert client.options("/", headers={**asked, "Origin": "https://evil.example"}).status_code == 400
    assert "access-control-allow-origin" not in client.get("/", headers={"Origin": "https://evil.example"}).headers
    with pytest.raises(ValueError, match="everybody"):
        middleware(cors_origins=["*"])
