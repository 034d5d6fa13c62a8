"""The usual stack for one list page: strawberry types with resolvers, SQLAlchemy entities, a DataLoader per relation.

Written as its documentation shows, on the same tables and keys, and with what costs it nothing to have: the parser and
validation caches, a synchronous driver (an asynchronous one is slower here), fields that are computed when the object
is made. It has no tenancy, no permissions and no limits.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
from collections import defaultdict
from typing import Any

import orjson
import sqlalchemy as sa
import strawberry
from sqlalchemy.orm import Session
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache

from benchmarks._people import People
from fairlead.audiences.model import ProfileTag as TagRow
from fairlead.audiences.model import Tag as TagEntity
from fairlead.customers.identifiers import mask, mask_name
from fairlead.customers.model import Identity as IdentityRow
from fairlead.customers.model import Profile as ProfileRow
from fairlead_graphql.ids import to_global


@strawberry.type
class Identity:
    id: strawberry.ID
    kind: str
    masked: str


@strawberry.type
class Tag:
    id: strawberry.ID
    name: str
    level: int


@strawberry.type
class Profile:
    number: strawberry.Private[int]
    id: strawberry.ID
    name: str | None
    gender: str | None
    region: str | None
    created_at: dt.datetime

    @strawberry.field
    async def identities(self, info: strawberry.Info) -> list[Identity]:
        found: list[Identity] = await info.context["identities"].load(self.number)
        return found

    @strawberry.field
    async def tags(self, info: strawberry.Info) -> list[Tag]:
        found: list[Tag] = await info.context["tags"].load(self.number)
        return found


@strawberry.type
class Edge:
    node: Profile
    cursor: str


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class Connection:
    edges: list[Edge]
    page_info: PageInfo


@strawberry.type
class Client:
    @strawberry.field
    def profiles(self, info: strawberry.Info, first: int, after: str | None = None) -> Connection:
        query = sa.select(ProfileRow).where(
            ProfileRow.client_id == info.context["client_id"], ProfileRow.state == "active"
        )
        if after is not None:
            _, number = orjson.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
            query = query.where(ProfileRow.id > number)
        rows = info.context["session"].scalars(query.order_by(ProfileRow.id).limit(first + 1)).all()
        edges = [Edge(node=_profile(info.context, row), cursor=_cursor(row.id)) for row in rows[:first]]
        end = edges[-1].cursor if edges else None
        return Connection(edges=edges, page_info=PageInfo(has_next_page=len(rows) > first, end_cursor=end))


@strawberry.type
class Query:
    @strawberry.field
    def client(self, slug: str) -> Client:
        return Client()


SCHEMA = strawberry.Schema(Query, extensions=[ParserCache, ValidationCache])


def _profile(context: dict[str, Any], row: ProfileRow) -> Profile:
    name = None if row.name is None else context["vault"].open(context["client_id"], "profile.name", row.name)
    return Profile(
        number=row.id,
        id=to_global("Profile", row.id),
        name=None if name is None else mask_name(name),
        gender=row.gender,
        region=row.region,
        created_at=row.created_at,
    )


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([number, number])).rstrip(b"=").decode()


class UsualStack:
    """Answers documents over the people of a benchmark."""

    def __init__(self, of: People) -> None:
        self._of = of
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """Close the event loop."""
        self._loop.close()

    def answer(self, document: str, variables: dict[str, Any]) -> bytes:
        """The answer as JSON."""
        with Session(self._of.runtime.database.engine, expire_on_commit=False) as session:
            context = self._context(session)
            result = self._loop.run_until_complete(
                SCHEMA.execute(document, variable_values=variables, context_value=context)
            )
        if result.errors:
            raise result.errors[0]
        return orjson.dumps({"data": result.data})

    def _context(self, session: Session) -> dict[str, Any]:
        vault, client_id = self._of.runtime.vault, self._of.client_id

        async def identities(profiles: list[int]) -> list[list[Identity]]:
            rows = session.scalars(
                sa.select(IdentityRow)
                .where(IdentityRow.client_id == client_id, IdentityRow.profile_id.in_(profiles))
                .order_by(IdentityRow.id)
            )
            found = defaultdict(list)
            for row in rows:
                value = vault.open(client_id, "identity.value", row.value)
                item = Identity(id=to_global("Identity", row.id), kind=row.kind, masked=mask(row.kind, value))
                found[row.profile_id].append(item)
            return [found[number] for number in profiles]

        async def tags(profiles: list[int]) -> list[list[Tag]]:
            rows = session.execute(
                sa.select(TagRow.profile_id, TagEntity)
                .join(TagEntity, sa.and_(TagEntity.client_id == TagRow.client_id, TagEntity.id == TagRow.tag_id))
                .where(TagRow.client_id == client_id, TagRow.profile_id.in_(profiles))
                .order_by(TagEntity.name)
            )
            found = defaultdict(list)
            for number, tag in rows:
                found[number].append(Tag(id=to_global("Tag", tag.id), name=tag.name, level=tag.level))
            return [found[number] for number in profiles]

        return {
            "session": session,
            "vault": vault,
            "client_id": client_id,
            "identities": DataLoader(load_fn=identities),
            "tags": DataLoader(load_fn=tags),
        }
