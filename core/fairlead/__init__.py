"""Fairlead: a plugin-based headless marketing core with one GraphQL API."""

from __future__ import annotations

__version__ = "0.1.0"
