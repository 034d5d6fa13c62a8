"""Agency, clients, members, API tokens and plugin sets."""
