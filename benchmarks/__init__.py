"""Measurements against what others use; see README.md here."""
