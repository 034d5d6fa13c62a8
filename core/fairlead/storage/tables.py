"""Imports every table of the core, so that :data:`Base.metadata` is whole; migrations and drift checks start here."""

from __future__ import annotations

import fairlead.audiences.model
import fairlead.channels.model
import fairlead.clients.model
import fairlead.customers.model
import fairlead.facts.model
import fairlead.governance.model
import fairlead.insights.model
import fairlead.journeys.model
import fairlead.messaging.model
import fairlead.storage.ids  # noqa: F401
from fairlead.engine.heartbeat import heartbeat_table
from fairlead.storage.base import Base, tenant_tables

metadata = Base.metadata
executors = heartbeat_table(metadata)

__all__ = ["executors", "metadata", "tenant_tables"]
