"""Fields of the one GraphQL schema, looked up for a whole list at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairlead.plugins.extensions import GraphQLRegistry
from fairlead.work import Work
from fairlead_acme_loyalty import points


def register_fields(register: GraphQLRegistry) -> None:
    """``Profile.acmePoints`` and ``Client.acmePointsOutstanding``."""
    register.batch_field(
        "Profile",
        "acme_points",
        acme_points,
        returns=int,
        missing=0,
        description="Points this person holds in Acme's loyalty programme.",
        permission="profiles:read",
    )
    register.batch_field(
        "Client",
        "acme_points_outstanding",
        acme_points_outstanding,
        returns=int,
        missing=0,
        description="Points that all people of this client hold together.",
        permission="insights:read",
    )


def acme_points(work: Work, profile_ids: Sequence[int]) -> Mapping[int, int]:
    """Points by profile id."""
    return points.balances(work.session, work.client_id, profile_ids)


def acme_points_outstanding(work: Work, client_ids: Sequence[int]) -> Mapping[int, int]:
    """The sum by client id; a unit of work is for one client, so there is one."""
    return {client_id: points.outstanding(work.session, client_id) for client_id in client_ids}
