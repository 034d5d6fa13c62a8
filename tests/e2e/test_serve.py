"""What an operator does by hand: keys, migrate, client, member, token, serve, look, stop, all by the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest

from support.webdriver import ANSWER, ASK, BROWSER, browser, free_port

__all__ = ["browser"]

LIST = """
query Page($first: Int!) {
  client(slug: "acme") { name profiles(first: $first) { totalCount nodes { id name } } }
}
"""
BLOCK = """
mutation {
  blockIdentity(input: {client: "acme", kind: "phone", value: "13800138000", reason: "ours", idempotencyKey: "e2e"}) {
    blocked
    errors { code message }
  }
}
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """``command("client", "create", …)`` runs ``fairlead`` on a database of its own and gives what it printed."""
    folder = tmp_path_factory.mktemp("installation")
    environment = {
        **os.environ,
        "FAIRLEAD_DATABASE_URL": f"sqlite:///{folder / 'fairlead.db'}",
        "FAIRLEAD_KEY_FILE": str(folder / "keys"),
        "FAIRLEAD_GRAPHIQL": "1",
    }

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "fairlead.cli", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.environment = environment  # type: ignore[attr-defined]
    return run


@pytest.fixture(scope="module")
def token(command: Callable[..., str]) -> str:
    """A client with a member who may do everything."""
    command("keys", "new", "--write", command.environment["FAIRLEAD_KEY_FILE"])  # type: ignore[attr-defined]
    command("migrate")
    command("client", "create", "acme", "Acme", "--plugin", "console", "--json")
    member = json.loads(command("member", "add", "Ada", "ada@example.com", "--role", "admin", "--json"))
    return str(json.loads(command("token", "issue", str(member["id"]), "--name", "e2e", "--json"))["token"])


@pytest.fixture
def served(command: Callable[..., str], token: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """``fairlead serve`` in a process of its own."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "fairlead.cli", "serve", "--port", str(port)],
        env=command.environment,  # type: ignore[attr-defined]
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        try:
            if httpx2.get(f"{url}/readyz").json()["ready"]:
                break
        except httpx2.HTTPError:
            assert time.monotonic() < end, "fairlead serve does not start"
        time.sleep(0.1)
    yield url, process
    if process.poll() is None:
        process.terminate()
        process.wait(60)


def _ask(url: str, token: str | None, query: str, **variables: object) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.post(f"{url}/graphql", json={"query": query, "variables": variables}, headers=headers)


def test_an_operator_serves_a_client_and_stops(served: tuple[str, subprocess.Popen[bytes]], token: str) -> None:
    url, process = served
    # A stranger learns that it is up, and nothing else.
    assert httpx2.get(f"{url}/healthz").text == "ok\n"
    assert _ask(url, None, "{ health }").json()["data"] == {"health": "ok"}
    refused = _ask(url, None, "{ viewer { name } }").json()
    assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "data" not in refused
    assert _ask(url, "fl_" + "x" * 43, "{ health }").status_code == 401
    # The member reads and writes.
    assert _ask(url, token, LIST, first=5).json()["data"]["client"] == {
        "name": "Acme",
        "profiles": {"totalCount": 0, "nodes": []},
    }
    for _ in range(2):
        assert _ask(url, token, BLOCK).json()["data"]["blockIdentity"] == {"blocked": True, "errors": []}
    answer = _ask(url, token, "{ viewer { name } }")
    assert answer.headers["x-request-id"]
    assert "fairlead_" in httpx2.get(f"{url}/metrics").text
    # It stops when asked to, in order.
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert token.encode() not in errors
    assert b"13800138000" not in errors


@pytest.mark.browser
@BROWSER[1]
def test_graphiql_shows_the_client_offline(
    served: tuple[str, subprocess.Popen[bytes]], token: str, browser: object
) -> None:
    url, _ = served
    browser.go(url)  # type: ignore[attr-defined]
    browser.until("return document.querySelector('.graphiql-execute-button') !== null")  # type: ignore[attr-defined]
    fill = "document.getElementById('token').value = arguments[0];document.querySelector('#token-form button').click();"
    browser.run(fill, token)  # type: ignore[attr-defined]
    browser.until("return document.querySelector('.graphiql-query-editor .CodeMirror') !== null")  # type: ignore[attr-defined]
    browser.run(ASK, '{ client(slug: "acme") { name zone } }')  # type: ignore[attr-defined]
    shown = f"{ANSWER.replace('return ', 'const text = ')}; return text.includes('Asia/Shanghai') && text"
    assert '"Acme"' in browser.until(shown)  # type: ignore[attr-defined]
    loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")  # type: ignore[attr-defined]
    assert [name for name in loaded if not name.startswith(url) and not name.startswith("data:")] == []
