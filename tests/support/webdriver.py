"""A headless Chromium driven over the W3C WebDriver protocol, and how GraphiQL's editor is worked."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import time

import httpx2
import pytest

BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium and chromedriver"
    ),
]
ANSWER = "return document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue() || ''"
ASK = """
const editor = document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror;
editor.setValue(arguments[0]);
editor.focus();
document.querySelector('.graphiql-execute-button').click();
"""


def free_port() -> int:
    """A port for a process that is about to start: below those that systems give to whoever asks for any."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as found:
            found.bind(("127.0.0.1", port))
            return port


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
