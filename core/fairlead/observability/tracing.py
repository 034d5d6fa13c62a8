"""Spans for OpenTelemetry when it is installed (extra ``otel``), nothing at all otherwise.

The exporter is chosen by OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``);
without an endpoint no provider is set up and a span costs one function call. Attributes are ids and names, never data.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fairlead.observability.redact import redact

_SCOPE = "fairlead"


class Tracing:
    """Makes spans. ``enabled`` says whether anybody receives them."""

    def __init__(self, tracer: Any = None, provider: Any = None) -> None:
        self._tracer = tracer
        self._provider = provider

    @classmethod
    def from_environment(cls) -> Tracing:
        """Export over OTLP/HTTP when an endpoint is named and the extra is installed; silent otherwise."""
        if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
            return cls()
        try:
            sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
            export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
            otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError:
            return cls()
        provider = sdk.TracerProvider()
        provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
        return cls(provider.get_tracer(_SCOPE), provider)

    @property
    def enabled(self) -> bool:
        """Whether spans go anywhere."""
        return self._tracer is not None

    @contextmanager
    def span(self, name: str, **attributes: object) -> Iterator[None]:
        """A span around the block. An exception marks it as failed by its type only and goes on."""
        if self._tracer is None:
            yield
            return
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            for key, value in redact(attributes).items():
                span.set_attribute(f"{_SCOPE}.{key}", value if isinstance(value, bool | int | float) else str(value))
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                raise

    def close(self) -> None:
        """Send what is still held back."""
        if self._provider is not None:
            self._provider.shutdown()
