"""Metrics and traces: own registries, no data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest

from fairlead.observability.metrics import Metrics
from fairlead.observability.tracing import Tracing


def test_two_runtimes_do_not_share_counters() -> None:
    one, two = Metrics(), Metrics()
    one.messages.labels("email", "sent").inc(3)
    assert b'fairlead_messages_total{channel="email",state="sent"} 3.0' in one.render()
    assert b'channel="email"' not in two.render()


def test_every_metric_is_explained() -> None:
    for family in Metrics().registry.collect():
        assert family.name.startswith("fairlead_")
        assert family.documentation.endswith(".")


def test_without_an_endpoint_a_span_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    tracing = Tracing.from_environment()
    assert not tracing.enabled
    with tracing.span("x", client_id=1):
        pass
    tracing.close()


def test_attributes_are_redacted_and_errors_named_by_type() -> None:
    class Span:
        def __init__(self) -> None:
            self.attributes: dict[str, Any] = {}

        def set_attribute(self, key: str, value: Any) -> None:
            self.attributes[key] = value

    span = Span()

    class Tracer:
        @contextmanager
        def start_as_current_span(self, name: str, **options: Any) -> Any:
            assert options == {"record_exception": False, "set_status_on_exception": False}
            yield span

    def fail() -> None:
        with Tracing(Tracer()).span("x", client_id=1, note="wang@example.com", phone="1"):
            raise KeyError("wang")

    with pytest.raises(KeyError):
        fail()
    assert span.attributes == {
        "fairlead.client_id": 1,
        "fairlead.note": "[email]",
        "fairlead.phone": "[hidden]",
        "error.type": "KeyError",
    }
