"""Lists have the shape that keeps them cheap: few statements, only the columns asked for, nothing to call per row."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
from strawberry.types.field import StrawberryField

from fairlead.audiences.model import ProfileTag, Tag
from fairlead.customers.linking import ClaimColumn, link
from fairlead.customers.model import Identity
from fairlead_graphql import listing
from fairlead_graphql.schema import build_schema
from graphql import GraphQLField, GraphQLObjectType

SCHEMA = build_schema()._schema
PAGE = """
query Page($first: Int!) {
  client(slug: "acme") {
    profiles(first: $first) {
      edges { cursor node { id name identities { id kind masked } tags { id name } } }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""


def add_people(world: Any, count: int) -> None:
    """People with a phone and an e-mail address, and three tags on everybody."""
    with world.client_work("acme") as work:
        phones = [f"+86139{number:08}" for number in range(count)]
        emails = [f"more{number}@people.test" for number in range(count)]
        linked = link(work, [ClaimColumn("phone", phones), ClaimColumn("email", emails)], "test")
        tags = [Tag(name=name, created_at=work.now) for name in ("gold", "new", "vip")]
        work.session.add_all(tags)
        work.session.flush()
        work.session.add_all(
            ProfileTag(profile_id=profile, tag_id=tag.id, at=work.now, source="test")
            for profile in (*world.profiles["acme"], *linked.profile_ids.tolist())
            for tag in tags
        )


def nodes(answer: dict[str, Any]) -> list[Any]:
    return [edge["node"] for edge in answer["client"]["profiles"]["edges"]]


def test_the_number_of_statements_does_not_grow_with_the_list(world: Any) -> None:
    add_people(world, 40)
    world.data("analyst", PAGE, first=1)

    with world.counting() as few:
        short = nodes(world.data("analyst", PAGE, first=2))
    with world.counting() as many:
        long = nodes(world.data("analyst", PAGE, first=40))

    assert (len(short), len(long)) == (2, 40)
    assert all(len(node["tags"]) == 3 and len(node["identities"]) == 2 for node in long)
    assert many.number == few.number
    reads = [statement for statement in many.seen if re.search(r"FROM (profile|identity|tag|profile_tag)\b", statement)]
    assert len(reads) == 3, "the page, its identities, its tags"


def selected(statement: str) -> set[str]:
    """The columns between SELECT and FROM, as table.column."""
    columns = statement[len("SELECT") : statement.index("FROM")]
    return {column.strip().partition(" AS ")[0] for column in columns.split(",")}


def test_only_what_is_asked_for_is_selected(world: Any) -> None:
    document = '{ client(slug: "acme") { profiles { nodes { gender identities { kind } tags { level } } } } }'

    with world.counting() as found:
        world.data("analyst", document)

    by_table = {
        table: selected(statement)
        for statement in found.seen
        for table in re.findall(r"FROM (profile|identity|profile_tag)\b", statement)
    }
    assert by_table["profile"] == {"profile.id", "profile.gender", "profile.client_id"}, "its place, and whose it is"
    assert by_table["identity"] == {"identity.id", "identity.profile_id", "identity.kind"}
    assert by_table["profile_tag"] == {"tag.id", "profile_tag.profile_id", "tag.level"}


def test_a_nested_list_ends_at_a_hundred_for_each_and_not_for_all_together(world: Any) -> None:
    first, second, third = world.profiles["acme"]
    with world.client_work("acme") as work:
        values = [f"openid-{number:04}" for number in range(3 * listing.MOST)]
        for at, value in enumerate(values):
            row = Identity(
                profile_id=first if at < len(values) - 5 else second,
                kind="wechat_openid",
                blind=work.vault.blind(work.client_id, "wechat_openid", value),
                value=work.vault.seal(work.client_id, "identity.value", value),
                strong=True,
                source="test",
                created_at=work.now,
            )
            work.session.add(row)

    document = '{ client(slug: "acme") { profiles { nodes { id identities { id kind } } } } }'
    rows = world.data("analyst", document)["client"]["profiles"]["nodes"]

    lengths = {row["id"]: len(row["identities"]) for row in rows}
    assert lengths == {
        world.gid("Profile", first): listing.MOST,
        world.gid("Profile", second): 2 + 5,
        world.gid("Profile", third): 2,
    }
    oldest = [identity["kind"] for identity in rows[0]["identities"][:2]]
    assert sorted(oldest) == ["email", "phone"], "the oldest come first, also where there are too many"


def test_a_document_is_parsed_and_validated_once(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import fairlead_graphql.door.documents as documents

    counts = {"parse": 0, "validate": 0}
    for name in counts:
        original = getattr(documents, name)

        def counted(*args: Any, _name: str = name, _original: Any = original, **kwargs: Any) -> Any:
            counts[_name] += 1
            return _original(*args, **kwargs)

        monkeypatch.setattr(documents, name, counted)

    for first in (1, 2, 3, 3):
        world.data("analyst", PAGE, first=first)

    assert counts == {"parse": 1, "validate": 1}


def core_fields() -> Iterator[tuple[str, str, GraphQLField, StrawberryField]]:
    for kind in SCHEMA.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__") and kind.name != "Subscription":
            for name, field in kind.fields.items():
                yield kind.name, name, field, field.extensions["strawberry-definition"]


def test_no_resolver_of_the_core_is_asynchronous() -> None:
    fields = list(core_fields())
    late = [
        f"{kind}.{name}"
        for kind, name, _, definition in fields
        if definition.base_resolver is not None and inspect.iscoroutinefunction(definition.base_resolver.wrapped_func)
    ]

    assert len(fields) > 100
    assert not late


def test_rows_of_lists_are_read_without_calling_anything() -> None:
    """Only connections and look-ups of their own have resolvers below a row; they are declared here."""
    rows = {
        "Profile",
        "Identity",
        "ProfileTag",
        "ProfileSegment",
        "ProfileScore",
        "ProfileConsent",
        "Order",
        "OrderLine",
    }
    called = {
        f"{kind}.{name}"
        for kind, name, field, _ in core_fields()
        if (kind in rows or kind.endswith(("Connection", "Edge")) or kind == "PageInfo")
        and not getattr(field.resolve, "_is_default", False)
    }

    assert rows <= set(SCHEMA.type_map)
    allowed = {name for name in called if name.startswith("Profile.") and _is_connection(name)}
    assert called == allowed
    assert {"Profile.orders", "Profile.timeline"} <= called


def _is_connection(name: str) -> bool:
    kind, _, field = name.partition(".")
    found = SCHEMA.type_map[kind]
    assert isinstance(found, GraphQLObjectType)
    return str(found.fields[field].type).endswith("Connection!")
