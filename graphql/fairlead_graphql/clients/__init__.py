"""Viewer, clients, members, tokens, plugin sets."""
