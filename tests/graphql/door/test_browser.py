"""GraphiQL in a real browser, from this server alone: it loads, reads the schema with a token, runs and streams."""

from __future__ import annotations

import threading

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from fairlead_graphql.door import GraphiQL, middleware
from support.webdriver import ANSWER, ASK, BROWSER, browser, free_port

__all__ = ["browser"]

pytestmark = BROWSER


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
