"""Fields of ``Client`` about segments, tags and scores."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import strawberry

from fairlead.audiences.model import Segment as SegmentRow
from fairlead.audiences.model import Tag as TagRow
from fairlead.audiences.segments import MOST_SAMPLED
from fairlead.errors import InvalidInput
from fairlead_graphql.arguments import After, Before, First, Last
from fairlead_graphql.audiences import loaders
from fairlead_graphql.audiences.rule_input import RuleInput, at_rule, rule_json
from fairlead_graphql.audiences.types import ScoringScheme, Segment, SegmentExplanation, SegmentPreview, Tag
from fairlead_graphql.door import Cost
from fairlead_graphql.ids import by_id_or_name, from_global
from fairlead_graphql.listing import Connection, page_of, read_one, read_page
from fairlead_graphql.policy import client_field
from fairlead_graphql.selection import selection_of

SEGMENT_ID = Annotated[strawberry.ID, strawberry.argument(description="The segment.")]
PROFILE_ID = Annotated[strawberry.ID, strawberry.argument(description="The person.")]


@strawberry.type
class AudiencesOfClient:
    """Mixed into ``Client``."""

    client_id: strawberry.Private[int]

    @client_field("segments:read", description="Segments by name, those in use unless asked otherwise.")
    def segments(
        self,
        info: strawberry.Info,
        archived: Annotated[bool, strawberry.argument(description="True for those taken out of use instead.")] = False,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Segment]:
        query = sa.select(SegmentRow).where(SegmentRow.state == ("archived" if archived else "active"))
        page = page_of(first, after, last, before)
        work = info.context.work(self.client_id)
        return read_page(work, loaders.SEGMENT, query, SegmentRow.name, page, selection_of(info))

    @client_field("segments:read", description="One segment by id or by name; null when there is none.")
    def segment(
        self,
        info: strawberry.Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Its id.")] = strawberry.UNSET,
        name: Annotated[str | None, strawberry.argument(description="Its name.")] = strawberry.UNSET,
    ) -> Segment | None:
        query = sa.select(SegmentRow).where(by_id_or_name(SegmentRow, "Segment", id, name))
        return read_one(info.context.work(self.client_id), loaders.SEGMENT, query, selection_of(info))

    @client_field(
        "segments:read",
        description="Whom a rule would hold for now. It needs the permissions of everything the rule looks at.",
        directives=[Cost(weight=50)],
    )
    def preview_segment(
        self,
        info: strawberry.Info,
        rule: Annotated[RuleInput, strawberry.argument(description="The rule.")],
        sample: Annotated[int, strawberry.argument(description="How many people to show, 0 to 100.")] = 10,
    ) -> SegmentPreview:
        if not 0 <= sample <= MOST_SAMPLED:
            message = f"a sample has 0 to {MOST_SAMPLED} people"
            raise InvalidInput(message, path=("sample",), next_step="ask for fewer")
        with at_rule():
            return loaders.preview(info.context.work(self.client_id), rule_json(rule), sample)

    @client_field("profiles:read", description="Why somebody is in a segment or not, down to each condition.")
    def explain_segment(
        self, info: strawberry.Info, segment_id: SEGMENT_ID, profile_id: PROFILE_ID
    ) -> SegmentExplanation:
        info.context.require("segments:read", self.client_id)
        segment = from_global("Segment", segment_id, path=("segmentId",))
        profile = from_global("Profile", profile_id, path=("profileId",))
        return loaders.explain(info.context.work(self.client_id), segment, profile)

    @client_field("segments:read", description="Tags by name.")
    def tags(
        self,
        info: strawberry.Info,
        first: First = strawberry.UNSET,
        after: After = strawberry.UNSET,
        last: Last = strawberry.UNSET,
        before: Before = strawberry.UNSET,
    ) -> Connection[Tag]:
        page = page_of(first, after, last, before)
        work = info.context.work(self.client_id)
        return read_page(work, loaders.TAG, sa.select(TagRow), TagRow.name, page, selection_of(info))

    @client_field(
        "segments:read", description="The scoring schemes that are on for this client.", directives=[Cost(size=50)]
    )
    def scoring_schemes(self, info: strawberry.Info) -> list[ScoringScheme]:
        return loaders.scoring_schemes(info.context.work(self.client_id))
