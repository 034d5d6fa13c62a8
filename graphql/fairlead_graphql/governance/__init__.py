"""The audit log and jobs."""
