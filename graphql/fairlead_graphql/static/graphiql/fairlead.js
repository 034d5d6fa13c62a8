"use strict";
// Starts GraphiQL against this server: queries and mutations by POST, subscriptions as server-sent events.
(function () {
  const place = document.getElementById("graphiql");
  const field = document.getElementById("token");
  const endpoint = place.dataset.endpoint;
  const KEY = "fairlead-token";
  let token = sessionStorage.getItem(KEY) || "";
  field.value = token;

  function isSubscription(params) {
    // Parsed here: what GraphiQL knows of the text lags behind the editor.
    let parsed;
    try {
      parsed = GraphiQL.GraphQL.parse(params.query);
    } catch {
      return false; // the server says what is wrong with it
    }
    const operations = parsed.definitions.filter((each) => each.kind === "OperationDefinition");
    const chosen = operations.find((each) => each.name && each.name.value === params.operationName) || operations[0];
    return Boolean(chosen) && chosen.operation === "subscription";
  }

  function ask(params, accept, headers, signal) {
    const own = { "Content-Type": "application/json", Accept: accept };
    if (token) own.Authorization = "Bearer " + token;
    return fetch(endpoint, {
      method: "POST",
      body: JSON.stringify(params),
      headers: Object.assign(own, headers),
      credentials: "omit",
      signal: signal,
    });
  }

  async function* events(params, headers) {
    const stop = new AbortController();
    try {
      const response = await ask(params, "text/event-stream", headers, stop.signal);
      if (!(response.headers.get("content-type") || "").startsWith("text/event-stream")) {
        yield await response.json();
        return;
      }
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        rest += value;
        const blocks = rest.split("\r\n\r\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const lines = block.split("\r\n");
          if (lines[0] === "event: complete") return;
          if (lines[0] === "event: next") yield JSON.parse(lines[1].slice("data: ".length));
        }
      }
    } finally {
      stop.abort();
    }
  }

  function fetcher(params, options) {
    const headers = (options && options.headers) || {};
    if (isSubscription(params)) return events(params, headers);
    return ask(params, "application/json", headers).then((response) => response.json());
  }

  const root = ReactDOM.createRoot(place);
  function render() {
    // A new key starts GraphiQL afresh, so that it reads the schema again with the new token.
    root.render(
      React.createElement(GraphiQL, {
        key: token,
        fetcher: fetcher,
        isHeadersEditorEnabled: true,
        shouldPersistHeaders: false,
        defaultQuery: "# Paste an API token above, then press Ctrl-Enter.\n{\n  __typename\n}\n",
      }),
    );
  }

  document.getElementById("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    token = field.value.trim();
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
    render();
  });
  render();
})();
