"""Telling staff: domain events a person should know of go out through the client's notifiers."""
