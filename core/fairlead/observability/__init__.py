"""What operators see of a running Fairlead: logs, metrics, traces. None of it holds a person's data or a secret."""
