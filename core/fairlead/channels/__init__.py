"""The registry of connected channel accounts: state, settings, health, sync."""
