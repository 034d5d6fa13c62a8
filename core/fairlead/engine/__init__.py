"""Background work: the port the domain uses, and the engines behind it.

Composition roots import :mod:`fairlead.engine.dbos_engine` (durable) or :mod:`fairlead.engine.memory` (tests, virtual
time) themselves; everybody else sees only what stands here.
"""

from __future__ import annotations

from fairlead.engine.port import DEFAULT_QUEUES, Engine, EngineError, Queue, Rate, Retry, Run, State

__all__ = ["DEFAULT_QUEUES", "Engine", "EngineError", "Queue", "Rate", "Retry", "Run", "State"]
