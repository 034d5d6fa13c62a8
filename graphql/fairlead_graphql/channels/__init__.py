"""The registry of channel accounts."""
