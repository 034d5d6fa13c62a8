"""Who may do what, held to a table that is written by hand: the constants that enforce it do not judge themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from fairlead.governance.permissions import ROLES
from fairlead.storage.base import Base
from fairlead_graphql.ids import to_global
from fairlead_graphql.nodes import LOADERS
from fairlead_graphql.policy import FIELDS, MUTATIONS, TYPES
from graphql import get_named_type, is_leaf_type, is_required_argument

TABLE = Path(__file__).with_name("permissions.txt")
ANYBODY = "-"
"""Whoever holds a token, or for a public field whoever asks."""
NOBODY = 10**15
EVERY_ROLE = ("admin", "operator", "analyst", "approver")
OF_THE_AGENCY = frozenset({"Member", "ApiToken"})
"""Types that belong to no client: a role at one does not reach them."""
ELSEWHERE = frozenset({"Client", "Agency", "Query", "Subscription", "SegmentPreview"})
"""Types whose fields have a matrix in ``test_permissions.py``, or tests beside those of what they do."""


class Row(NamedTuple):
    """What a line of the table says."""

    permission: str
    roles: frozenset[str]


def table() -> dict[str, Row]:
    """The table by its first column."""
    lines = (line.split() for line in TABLE.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return {name: Row(permission, frozenset(roles)) for name, permission, *roles in lines}


def row_of(world: Any, type_name: str, client: str) -> str:
    """The global id of a row of the client."""
    if type_name == "Client":
        return str(world.gid("Client", world.clients[client]))
    if type_name == "Member":
        return str(world.gid("Member", world.members[f"analyst@{client}"]))
    if type_name == "ApiToken":
        return str(world.gid("ApiToken", world.token_ids[f"analyst@{client}"]))
    name = {"TimelineItem": "Touch"}.get(type_name, type_name)
    entity = next(mapper.class_ for mapper in Base.registry.mappers if mapper.class_.__name__ == name)
    with world.runtime.agency_reading("test") as work:
        query = sa.select(entity.id).where(entity.client_id == world.clients[client]).order_by(entity.id.desc())
        number = work.session.scalar(query.limit(1))
    return str(to_global(type_name, NOBODY if number is None else number))


def test_the_table_is_what_the_code_enforces() -> None:
    enforced = {f"{kind}.{name}": permission for (kind, name), permission in FIELDS.items()}
    enforced |= {f"Mutation.{name}": permission for name, permission in MUTATIONS.items()}
    enforced |= {f"node({name})": TYPES[name] for name in LOADERS}
    written = table()
    assert {name: row.permission for name, row in written.items()} == enforced
    for name, (permission, roles) in written.items():
        holding = {role for role in EVERY_ROLE if permission in ROLES[role]}
        assert roles == (holding if ":" in permission else {ANYBODY}), name


def asked(world: Any) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Name, query and the roles that may, for everything that is reached by an id and every gated field of it."""
    schema, written = world.app.state.schema._schema, table()
    for name in LOADERS:
        yield f"node({name})", "__typename", written[f"node({name})"].roles
    for kind, field in FIELDS:
        if kind in ELSEWHERE:
            continue
        part = schema.type_map[kind].fields[field]
        assert not any(is_required_argument(one) for one in part.args.values())
        below = "" if is_leaf_type(get_named_type(part.type)) else " { __typename }"
        roles = written[f"{kind}.{field}"].roles & written[f"node({kind})"].roles
        yield f"node({kind}).{field}", f"... on {kind} {{ {field}{below} }}", roles


def test_what_is_reached_by_an_id_by_every_role(seeded: Any) -> None:
    wrong = []
    for name, selection, roles in asked(seeded):
        kind = name.partition("(")[2].partition(")")[0]
        own, foreign = row_of(seeded, kind, "acme"), row_of(seeded, kind, "bolt")
        query = f"query($ids: [ID!]!) {{ nodes(ids: $ids) {{ {selection} }} }}"
        one = f"query($id: ID!) {{ node(id: $id) {{ {selection} }} }}"
        for role in EVERY_ROLE:
            for token in (role, f"{role}@acme"):
                out_of_place = kind in OF_THE_AGENCY and "@" in token
                wanted = [] if role in roles and not out_of_place else ["FORBIDDEN"]
                for found in (seeded.codes(token, one, id=own), seeded.codes(token, query, ids=[own])):
                    if found != wanted:
                        wrong.append(f"{name} by {token}: {found}, not {wanted}")
            answer = seeded.gql(f"{role}@acme", query, ids=[foreign]).get("data")
            if answer not in ({"nodes": [None]}, None):
                wrong.append(f"{name} of another client by {role}: {answer}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("role", EVERY_ROLE)
def test_a_sample_of_a_segment_shows_people_to_those_who_may_see_them(seeded: Any, role: str) -> None:
    query = """{ client(slug: "acme") {
        previewSegment(rule: {identity: {kind: "email"}}) { sample { __typename } } } }"""
    allowed = role in table()["SegmentPreview.sample"].roles
    assert seeded.codes(f"{role}@acme", query) == ([] if allowed else ["FORBIDDEN"])
