"""Segments, their rule language, tags and scores."""
