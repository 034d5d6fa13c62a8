"""Alembic scripts of the core, run by :mod:`fairlead.storage.migrate`."""
