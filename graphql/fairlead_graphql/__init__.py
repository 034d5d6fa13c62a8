"""Fairlead's GraphQL API: the door, the schema by domain, and the ASGI application."""
