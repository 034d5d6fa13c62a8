"""Journeys: the catalogue of nodes, versions, enrolments."""
