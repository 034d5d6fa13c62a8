"""Segments, tags and scoring schemes, as the API shows them."""

from __future__ import annotations

import datetime as dt

import strawberry
from strawberry.scalars import JSON

from fairlead_graphql.arguments import After, First
from fairlead_graphql.customers.types import Profile
from fairlead_graphql.door import Cost
from fairlead_graphql.few import FEW
from fairlead_graphql.listing import Connection, batched, empty_connection, page_of
from fairlead_graphql.paging import MOST
from fairlead_graphql.policy import client_field, reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.scalars import Node, Title
from fairlead_graphql.selection import selection_of


@reached_with("profiles:read")
@strawberry.type(description="Somebody who is in a segment since its last refresh.")
class SegmentMember:
    """A membership."""

    since: dt.datetime = strawberry.field(description="When they entered.")
    profile: Profile | None = strawberry.field(description="The person; null when they were erased since.")


@reached_with("profiles:read")
@strawberry.type(description="Somebody entered or left a segment.")
class SegmentChange:
    """An entry or exit."""

    at: dt.datetime = strawberry.field(description="At which refresh.")
    entered: bool = strawberry.field(description="True for an entry, false for an exit.")
    profile: Profile | None = strawberry.field(description="The person; null when they were erased since.")


@reached_with("segments:read")
@strawberry.type(description="A named rule and the people it held for when it was last refreshed.")
class Segment(Node):
    """A segment."""

    client_id: strawberry.Private[int]
    name: str = strawberry.field(description="Its key in other rules and in journeys; never changes.")
    title: str = strawberry.field(description="Name for people.")
    state: str = strawberry.field(description="active or archived.")
    rule: JSON = strawberry.field(description="The rule in its stored form, with the keys of RuleInput.")
    head_count: int = strawberry.field(description=f"People in it since the last refresh. {FEW}")
    head_count_is_exact: bool = strawberry.field(description="False when headCount only says: below 10.")
    refreshed_at: dt.datetime | None = strawberry.field(description="When membership was last computed; null if never.")
    created_at: dt.datetime = strawberry.field(description="When it was made.")
    changed_at: dt.datetime = strawberry.field(description="When its title or rule last changed.")

    @client_field("profiles:read", on="Segment", description="Who is in it, by age of the profile.")
    def members(
        self, info: strawberry.Info, first: First = strawberry.UNSET, after: After = strawberry.UNSET
    ) -> Connection[SegmentMember]:
        from fairlead_graphql.audiences import loaders

        page, selection = page_of(first, after), selection_of(info)
        work = info.context.work(self.client_id)
        return batched(
            self,
            ("members", first, after, id(selection)),
            lambda numbers: loaders.members_by_segment(work, numbers, page, selection),
            empty_connection,
        )

    @client_field("profiles:read", on="Segment", description="Who entered and left, the newest first.")
    def changes(
        self, info: strawberry.Info, first: First = strawberry.UNSET, after: After = strawberry.UNSET
    ) -> Connection[SegmentChange]:
        from fairlead_graphql.audiences import loaders

        page, selection = page_of(first, after), selection_of(info)
        work = info.context.work(self.client_id)
        return batched(
            self,
            ("changes", first, after, id(selection)),
            lambda numbers: loaders.changes_by_segment(work, numbers, page, selection),
            empty_connection,
        )


@reached_with("segments:read")
@strawberry.type(description="Whom a rule would hold for now.")
class SegmentPreview:
    """A preview."""

    client_id: strawberry.Private[int]
    people: strawberry.Private[tuple[int, ...]]
    head_count: int = strawberry.field(description=f"How many people. {FEW}")
    head_count_is_exact: bool = strawberry.field(description="False when headCount only says: below 10.")

    @client_field(
        "profiles:read",
        on="SegmentPreview",
        description="Some of them; none when the count is hidden for being small.",
        directives=[Cost(size=MOST)],
    )
    def sample(self, info: strawberry.Info) -> list[Profile]:
        from fairlead_graphql.audiences import loaders

        found = loaders.profiles_by_id(info.context.work(self.client_id), self.people, selection_of(info))
        return [found[number] for number in self.people if number in found]


@reached_with("profiles:read")
@strawberry.type(description="What one node of a rule came to for a person.")
class RuleVerdict:
    """A node of the explanation."""

    path: str = strawberry.field(description="Where it stands, such as all.0.fact; empty for the whole rule.")
    key: str = strawberry.field(description="The field of RuleInput it is.")
    matched: bool = strawberry.field(description="Whether it holds.")
    asked: JSON = strawberry.field(description="The condition; empty for a group.")
    seen: JSON = strawberry.field(description="What the person has, for the comparison.")


@reached_with("profiles:read")
@strawberry.type(description="Why somebody is in a segment's rule or not, as of now.")
class SegmentExplanation:
    """An explanation."""

    matched: bool = strawberry.field(description="Whether the rule holds now; membership follows at the next refresh.")
    verdicts: list[RuleVerdict] = rows(
        500, "Every node of the rule from the root down, groups before their parts, used segments opened."
    )


@reached_with("segments:read")
@strawberry.type(description="A label for people, on two levels.")
class Tag(Node):
    """A tag."""

    client_id: strawberry.Private[int]
    name: str = strawberry.field(description="Its name, unique.")
    level: int = strawberry.field(description="1, or 2 below a parent.")
    parent: Tag | None = strawberry.field(description="The tag above it.")
    origin: str = strawberry.field(description="manual, or rule when its rule decides who has it.")
    rule: JSON | None = strawberry.field(description="Its rule in its stored form.")
    note: str = strawberry.field(description="What it is for.")
    owner: str = strawberry.field(description="Who looks after it.")
    profile_count: int = strawberry.field(description=f"How many people have it. {FEW}")
    created_at: dt.datetime = strawberry.field(description="When it was made.")


@reached_with("segments:read")
@strawberry.type(description="A way to give people a number, brought by a plugin that is on for the client.")
class ScoringScheme:
    """A scoring scheme."""

    name: str = strawberry.field(description="Its name in rules and mutations.")
    title: Title = strawberry.field(description="Its name for people.")
    description: Title = strawberry.field(description="What it does.")
    version: str = strawberry.field(description="Its version.")
    plugin: str = strawberry.field(description="The plugin it comes with.")
    settings_schema: JSON = strawberry.field(description="JSON Schema of its settings, for a form.")
