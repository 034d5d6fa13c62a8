"""Engine, sessions, column types, keys and bulk loading."""
