"""GraphiQL in a real browser, from this server alone: it loads, reads the schema with a token, runs and streams."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from fairlead_graphql.door import GraphiQL, middleware

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium and chromedriver"
    ),
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def served(door):
    routes = [*GraphiQL(enabled=True, endpoint="/graphql/").routes(), Mount("/graphql", door.door)]
    port = free_port()
    app = Starlette(routes=routes, middleware=middleware(allowed_hosts=["127.0.0.1"]))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


class Browser:
    """As much of the W3C WebDriver protocol as these tests need."""

    def __init__(self, port: int) -> None:
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options = {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self.post("/session", {"capabilities": {"alwaysMatch": options}})
        self.base = f"/session/{made['sessionId']}"

    def post(self, path, body):
        answer = self.http.post(path, json=body).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def go(self, url):
        self.post(f"{self.base}/url", {"url": url})

    def run(self, script, *args):
        return self.post(f"{self.base}/execute/sync", {"script": script, "args": list(args)})

    def until(self, script, *args, seconds=60):
        end = time.monotonic() + seconds
        while not (found := self.run(script, *args)):
            assert time.monotonic() < end, (script, self.console())
            time.sleep(0.1)
        return found

    def console(self):
        return [entry["message"] for entry in self.post(f"{self.base}/se/log", {"type": "browser"})]

    def close(self):
        self.http.delete(self.base)
        self.http.close()


@pytest.fixture
def browser():
    port = free_port()
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while True:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/status").json()["value"]["ready"]:
                break
        except httpx2.HTTPError:
            assert time.monotonic() < end, "chromedriver does not start"
            time.sleep(0.1)
    opened = Browser(port)
    yield opened
    opened.close()
    driver.terminate()
    driver.wait(10)


ANSWER = "return document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue() || ''"
ASK = """
const editor = document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror;
editor.setValue(arguments[0]);
editor.focus();
document.querySelector('.graphiql-execute-button').click();
"""


def test_graphiql_works_with_nothing_but_this_server(served, browser):
    browser.go(f"{served}/graphiql")
    browser.until("return document.querySelector('.graphiql-execute-button') !== null")
    browser.run("document.getElementById('token').value = 'good';document.querySelector('#token-form button').click();")
    browser.until("return document.querySelector('.graphiql-query-editor .CodeMirror') !== null")
    browser.run(ASK, "{ people(first: 1) { nodes { name } } }")
    assert '"p0"' in browser.until(f"{ANSWER.replace('return ', 'const text = ')}; return text.includes('p0') && text")
    browser.run(ASK, "subscription Ticks { ticks(count: 3, pause: 0.1) }")
    browser.until(f"{ANSWER.replace('return ', 'const text = ')}; return text.includes('\"ticks\": 2')")
    # The explorer has read the schema with the token.
    browser.run("document.querySelector('button[aria-label=\"Show Documentation Explorer\"]').click()")
    browser.until("return document.body.innerText.includes('A GraphQL schema provides a root type')")
    loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len(loaded) >= 6
    assert [name for name in loaded if not name.startswith(served) and not name.startswith("data:")] == []
    assert [line for line in browser.console() if "Content Security Policy" in line or "Uncaught" in line] == []
