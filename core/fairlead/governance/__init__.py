"""Permissions, audit, secrets, jobs, idempotency."""
