"""Everything between the bytes and the resolvers: decoding, limits, who asks, threads, sockets, errors.

Nothing here knows a domain type. The parts an application needs:

* :class:`~fairlead_graphql.door.schema_config.DoorSchema`, a ``strawberry.Schema`` with every limit built in;
* :class:`~fairlead_graphql.door.app.GraphQLDoor`, the ASGI application that serves it;
* :class:`~fairlead_graphql.door.limits.Limits`, all limits with their defaults;
* :class:`~fairlead_graphql.door.costs.Cost`, the schema directive that declares what a field costs;
* :class:`~fairlead_graphql.door.trusted.TrustedDocuments`, documents known by their hash;
* :class:`~fairlead_graphql.door.graphiql.GraphiQL` and :class:`~fairlead_graphql.door.headers.Headers`.
"""

from __future__ import annotations

from fairlead_graphql.door.app import GraphQLDoor
from fairlead_graphql.door.costs import Cost, Weight
from fairlead_graphql.door.errors import Refused
from fairlead_graphql.door.graphiql import GraphiQL
from fairlead_graphql.door.headers import Headers, middleware
from fairlead_graphql.door.limits import Limits
from fairlead_graphql.door.pool import Deadline, current_deadline
from fairlead_graphql.door.principal import ANONYMOUS, Anonymous, Principal
from fairlead_graphql.door.schema_config import DoorSchema, door_extensions
from fairlead_graphql.door.trusted import TrustedDocuments

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "Cost",
    "Deadline",
    "DoorSchema",
    "GraphQLDoor",
    "GraphiQL",
    "Headers",
    "Limits",
    "Principal",
    "Refused",
    "TrustedDocuments",
    "Weight",
    "current_deadline",
    "door_extensions",
    "middleware",
]
