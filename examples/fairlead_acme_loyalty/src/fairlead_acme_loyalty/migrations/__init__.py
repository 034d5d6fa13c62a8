"""Alembic scripts of this plugin's table."""
