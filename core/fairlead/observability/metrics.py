"""Prometheus metrics of one process, in a registry of their own, so that two runtimes in a test never share a counter.

Labels are small closed sets (states, plugin names, operation results): never an id, an address or a client's text.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics by name. Hand the object on; there is no global one."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.http_requests = Counter(
            "fairlead_http_requests", "HTTP requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.http_seconds = Histogram(
            "fairlead_http_seconds",
            "Seconds per HTTP request by route.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.graphql_operations = Counter(
            "fairlead_graphql_operations",
            "GraphQL operations by kind (query, mutation, subscription) and result (ok, refused, failed).",
            ["kind", "result"],
            registry=self.registry,
        )
        self.graphql_seconds = Histogram(
            "fairlead_graphql_seconds",
            "Seconds per GraphQL operation by kind.",
            ["kind"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.messages = Counter(
            "fairlead_messages",
            "Messages by channel and the state they reached.",
            ["channel", "state"],
            registry=self.registry,
        )
        self.channel_calls = Counter(
            "fairlead_channel_calls",
            "Calls of channel plugins by channel, what was called, and result (ok or the rung of the error ladder).",
            ["channel", "call", "result"],
            registry=self.registry,
        )
        self.jobs = Counter("fairlead_jobs", "Jobs by kind and final state.", ["kind", "state"], registry=self.registry)
        self.engine_runs = Counter(
            "fairlead_engine_runs", "Engine runs by workflow and result.", ["name", "result"], registry=self.registry
        )
        self.engine_seconds = Histogram(
            "fairlead_engine_seconds",
            "Seconds per engine run by workflow.",
            ["name"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.events = Counter(
            "fairlead_domain_events", "Domain events handed to plugins by type.", ["type"], registry=self.registry
        )
        self.busy_retries = Counter(
            "fairlead_busy_retries", "Transactions begun again because the database was busy.", registry=self.registry
        )
        self.imported_rows = Counter(
            "fairlead_imported_rows",
            "Rows of imports by result (accepted, known, rejected).",
            ["result"],
            registry=self.registry,
        )
        self.plugins = Gauge(
            "fairlead_plugins", "Installed plugins by state (on, failed, blocked).", ["state"], registry=self.registry
        )

    def render(self) -> bytes:
        """The text form for ``/metrics``; its media type is :attr:`content_type`."""
        return generate_latest(self.registry)
