"""Profiles with identities, timeline and orders."""
