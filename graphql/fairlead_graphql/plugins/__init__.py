"""Installed plugins, and what a client has of them."""
