"""Every mutation, field and role, at the own client and at another: allowed or refused exactly as the policy says.

The requests are made from the schema, so a new field or mutation is in the matrix as soon as it exists. Inputs are the
smallest that the schema accepts: what is allowed may then be refused for other reasons, never for permission.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.storage.base import Base
from fairlead_graphql.ids import split_global, to_global
from fairlead_graphql.policy import FIELDS, MEMBER, MUTATIONS, PUBLIC
from fairlead_graphql.schema import build_schema
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

SCHEMA = build_schema()._schema
ROLES = ("admin", "operator", "analyst", "approver", "auditor")
SERVICE_DECIDES = {"revokeToken": "tokens:write", "rotateToken": "tokens:write"}
"""Mutations that any token may ask for, and the permission they need for what is not one's own."""
PLACES = frozenset({"addMember", "grantRole", "setMemberRole", "revokeRole"})
"""Mutations whose client may be left out, which means the agency."""
ACROSS = frozenset({"archiveClient", "restoreClient"})
"""Mutations about a client that only the agency may do."""
LAST = ("archiveClient", "restoreClient")
"""They change what the others are asked of."""
ROWS = {
    "accountId": "ChannelAccount",
    "tokenId": "ApiToken",
    "mergeId": "ProfileMerge",
    "parentId": "Tag",
    "runId": "AttributionRun",
    "versionId": "JourneyVersion",
}
"""The type behind an id, where the name of the field does not say it."""
NOBODY = 10**15
"""A row that does not exist."""
OF_THE_AGENCY = frozenset({"Member", "ApiToken"})
"""Types that belong to no client."""


# -- requests from the schema ---------------------------------------------------------------------------------------


def row_type(field: str) -> str:
    """The type that an id in the input field ``field`` belongs to."""
    name = field.removesuffix("s").removesuffix("Id")
    return ROWS.get(field.removesuffix("s"), name[:1].upper() + name[1:])


def sample(kind: Any, field: str, client: str, ids: Mapping[str, str], depth: int = 0) -> Any:
    """The smallest value of an input type; required parts only, ids from ``ids`` or of a row that does not exist."""
    if isinstance(kind, GraphQLNonNull):
        return sample(kind.of_type, field, client, ids, depth)
    if isinstance(kind, GraphQLList):
        return [sample(kind.of_type, field, client, ids, depth)]
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        if kind.extensions["strawberry-definition"].is_one_of:
            name = min(kind.fields, key=lambda one: weight(kind.fields[one].type, depth))
            return {name: sample(kind.fields[name].type, name, client, ids, depth + 1)}
        wanted = {name: part for name, part in kind.fields.items() if is_required_input_field(part) or name == "client"}
        return {name: sample(part.type, name, client, ids, depth + 1) for name, part in wanted.items()}
    if field == "client":
        return client
    return {
        "ID": ids.get(row_type(field), str(to_global(row_type(field), NOBODY))),
        "Int": 1,
        "Float": 1.0,
        "Boolean": True,
        "JSON": {},
        "DateTime": "2026-01-01T00:00:00+00:00",
        "Date": "2026-01-01",
        "Decimal": "1",
        "RuleValue": "x",
    }.get(kind.name, "x")


def weight(kind: Any, depth: int) -> int:
    """How much a value of the type needs to be filled in; recursive parts weigh most."""
    named = get_named_type(kind)
    return 0 if is_leaf_type(named) else 1 + len(getattr(named, "fields", ())) + depth


def fields_of(type_name: str) -> Mapping[str, GraphQLField]:
    kind = SCHEMA.type_map[type_name]
    assert isinstance(kind, GraphQLObjectType)
    return kind.fields


def asked(name: str, field: GraphQLField) -> tuple[str, str, dict[str, Any]]:
    """A field in a query: its text, the declarations of its variables, their values."""
    required = {one: given for one, given in field.args.items() if is_required_argument(given)}
    declared = "".join(f", ${one}: {given.type}" for one, given in required.items())
    given = ", ".join(f"{one}: ${one}" for one in required)
    values = {one: sample(part.type, row_type(name) + "Id", "acme", {}) for one, part in required.items()}
    below = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
    return f"{name}{f'({given})' if given else ''}{below}", declared, values


def mutation(name: str, client: str | None, ids: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """A mutation with its smallest input."""
    field = fields_of("Mutation")[name]
    kind = field.args["input"].type
    value = sample(kind, "input", client or "", ids)
    if client is None:
        value.pop("client", None)
    parts = fields_of(get_named_type(field.type).name)
    below = " ".join(
        f"{one}{'' if is_leaf_type(get_named_type(part.type)) else ' { __typename }'}"
        for one, part in parts.items()
        if one != "errors"
    )
    return f"mutation($input: {kind}) {{ {name}(input: $input) {{ {below} errors {{ code message }} }} }}", value


def outcome(world: Any, token: str | None, query: str, **variables: Any) -> str:
    """``allowed``, ``FORBIDDEN``, ``HIDDEN`` (no such client) or ``UNAUTHENTICATED``; fails for a malformed request."""
    answer = world.gql(token, query, **variables)
    errors = [(error["extensions"]["code"], error["message"]) for error in answer.get("errors", ())]
    for payload in (answer.get("data") or {}).values():
        if isinstance(payload, dict):
            errors += [(error["code"], error["message"]) for error in payload.get("errors") or ()]
    codes = {code for code, _ in errors}
    assert not codes & {"GRAPHQL_VALIDATION_FAILED", "INTERNAL_SERVER_ERROR", "GRAPHQL_PARSE_FAILED"}, (query, errors)
    assert "data" in answer or "UNAUTHENTICATED" in codes, (query, variables, errors)
    for code in ("UNAUTHENTICATED", "FORBIDDEN"):
        if code in codes:
            return code
    hidden = any(code == "NOT_FOUND" and text.startswith("there is no such client") for code, text in errors)
    return "HIDDEN" if hidden else "allowed"


def in_order() -> list[str]:
    return [*sorted(MUTATIONS.keys() - set(LAST)), *LAST]


# -- the matrix -----------------------------------------------------------------------------------------------------


def cells() -> Iterator[tuple[str, str, str | None, str]]:
    """Mutation, token, client asked for (``None`` for the agency), and the permission it takes."""
    for name in in_order():
        given = get_named_type(fields_of("Mutation")[name].args["input"].type)
        assert isinstance(given, GraphQLInputObjectType)
        targets: list[str | None] = ["acme", "bolt"] if "client" in given.fields else [None]
        if name in PLACES:
            targets.append(None)
        for role in ROLES:
            for token in (role, f"{role}@acme"):
                for target in targets:
                    yield name, token, target, SERVICE_DECIDES.get(name, MUTATIONS[name])


def expected(world: Any, name: str, token: str, target: str | None, permission: str) -> str:
    role, _, place = token.partition("@")
    if place and (target is None or name in ACROSS):
        return "FORBIDDEN"
    if place and place != target:
        return "HIDDEN"
    return "allowed" if permission in world.permissions[role] else "FORBIDDEN"


def test_every_mutation_by_every_role_at_the_own_client_and_another(world: Any) -> None:
    wrong = []
    for name, token, target, permission in cells():
        query, value = mutation(name, target, {})
        found = outcome(world, token, query, input=value)
        wanted = expected(world, name, token, target, permission)
        if found != wanted:
            wrong.append(f"{name} by {token} at {target}: {found}, not {wanted}")
    assert wrong == []


def test_only_these_leave_the_decision_to_the_service() -> None:
    assert {name for name, permission in MUTATIONS.items() if permission == MEMBER} == set(SERVICE_DECIDES)


def row_of(world: Any, type_name: str, client: str) -> str:
    """The global id of a row that belongs to ``client``."""
    if type_name == "Member":
        return str(world.gid("Member", world.members[f"analyst@{client}"]))
    if type_name == "ApiToken":
        return str(world.gid("ApiToken", world.token_ids[f"analyst@{client}"]))
    entity = next(mapper.class_ for mapper in Base.registry.mappers if mapper.class_.__name__ == type_name)
    with world.runtime.agency_reading("test") as work:
        query = sa.select(entity.id).where(entity.client_id == world.clients[client]).order_by(entity.id.desc())
        number = work.session.scalars(query.limit(1)).one()
    return str(world.gid(type_name, number))


def ids_in(name: str) -> set[str]:
    """The types of rows that a mutation's input must name."""
    given = get_named_type(fields_of("Mutation")[name].args["input"].type)
    assert isinstance(given, GraphQLInputObjectType)
    return {
        row_type(field)
        for field, part in given.fields.items()
        if get_named_type(part.type).name == "ID" and is_required_input_field(part)
    }


def test_rows_of_another_client_are_out_of_reach_of_every_mutation(seeded: Any) -> None:
    reached = []
    tried = 0
    for name in in_order():
        types = ids_in(name)
        if not types:
            continue
        tried += 1
        query, value = mutation(name, "acme", {one: row_of(seeded, one, "bolt") for one in types})
        payload = seeded.data("admin@acme", query, input=value)[name]
        errors = payload.pop("errors")
        if not errors or any(part is not None for part in payload.values()):
            reached.append((name, payload, errors))
    assert tried > 10
    assert reached == []


# -- queries --------------------------------------------------------------------------------------------------------


def test_every_field_of_a_client_by_every_role(world: Any) -> None:
    wrong = []
    for (type_name, name), permission in sorted(FIELDS.items()):
        if type_name != "Client":
            continue
        text, declared, values = asked(name, fields_of("Client")[name])
        query = f"query($slug: String!{declared}) {{ client(slug: $slug) {{ {text} }} }}"
        for role in ROLES:
            wanted = "allowed" if permission in world.permissions[role] else "FORBIDDEN"
            for token in (role, f"{role}@acme"):
                found = outcome(world, token, query, slug="acme", **values)
                if found != wanted:
                    wrong.append(f"{name} by {token}: {found}, not {wanted}")
            answer = world.gql(f"{role}@acme", query, slug="bolt", **values)
            if answer.get("data") != {"client": None} or "errors" in answer:
                wrong.append(f"{name} of another client by {role}: {answer}")
    assert wrong == []


def test_every_field_of_the_agency_by_every_role(world: Any) -> None:
    wrong = []
    for (type_name, name), permission in sorted(FIELDS.items()):
        if type_name != "Agency":
            continue
        text, declared, values = asked(name, fields_of("Agency")[name])
        query = f"query Ask{f'({declared[2:]})' if declared else ''} {{ agency {{ {text} }} }}"
        for role in ROLES:
            held = world.permissions[role]
            wanted = "allowed" if {"agency:read", permission} <= held else "FORBIDDEN"
            for token, right in ((role, wanted), (f"{role}@acme", "FORBIDDEN")):
                found = outcome(world, token, query, **values)
                if found != right:
                    wrong.append(f"{name} by {token}: {found}, not {right}")
    assert wrong == []


def test_strangers_get_the_public_list_and_nothing_else(world: Any) -> None:
    for name, field in fields_of("Query").items():
        text, declared, values = asked(name, field)
        query = f"query Ask{f'({declared[2:]})' if declared else ''} {{ {text} }}"
        wanted = "allowed" if FIELDS["Query", name] == PUBLIC else "UNAUTHENTICATED"
        assert outcome(world, None, query, **values) == wanted, name
    for name in MUTATIONS:
        query, value = mutation(name, "acme", {})
        assert outcome(world, None, query, input=value) == "UNAUTHENTICATED", name


@pytest.mark.parametrize("secret", ["fl_" + "x" * 43, "nonsense"])
def test_a_token_that_is_none_is_refused(world: Any, secret: str) -> None:
    answer = world.http.post("/graphql", json={"query": "{ health }"}, headers={"Authorization": f"Bearer {secret}"})
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_everything_with_an_id_is_null_for_whoever_does_not_see_its_client(seeded: Any) -> None:
    query = "query($id: ID!) { node(id: $id) { __typename id } }"
    node = SCHEMA.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    for name in sorted({kind.name for kind in SCHEMA.get_possible_types(node)} - OF_THE_AGENCY - {"Client"}):
        found = row_of(seeded, {"TimelineItem": "Touch"}.get(name, name), "acme")
        id_ = str(to_global(name, split_global(found)[1]))
        assert seeded.data("admin@acme", query, id=id_) == {"node": {"__typename": name, "id": id_}}, name
        assert seeded.data("admin@bolt", query, id=id_) == {"node": None}, name
