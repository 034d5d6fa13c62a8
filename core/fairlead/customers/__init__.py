"""Profiles, identities, merge and split, consent, imports."""
