"""The typed protocols a plugin can implement, one module per kind."""
