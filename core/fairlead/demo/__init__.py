"""The demonstration: a generated sample, and the main job run on it from end to end."""
