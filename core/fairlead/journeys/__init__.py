"""Journeys: graph, validation, enrolment, the set-based engine."""
