"""The rule language, tags, segments, scores and stages."""
