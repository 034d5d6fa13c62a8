"""Changing segments, tags and scores."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
import strawberry
from strawberry.scalars import JSON

from fairlead.audiences import model, workflows
from fairlead.audiences import segments as service
from fairlead.audiences import tags as tag_service
from fairlead.errors import InvalidInput
from fairlead.work import Work
from fairlead_graphql.audiences.loaders import SEGMENT, TAG
from fairlead_graphql.audiences.rule_input import RuleInput, at_rule, rule_json
from fairlead_graphql.audiences.types import Segment, Tag
from fairlead_graphql.background import hand_over
from fairlead_graphql.context import Context
from fairlead_graphql.few import shown_count
from fairlead_graphql.governance.loaders import read_job
from fairlead_graphql.governance.types import Job
from fairlead_graphql.ids import from_global
from fairlead_graphql.inputs import client_slug, errors, idempotency_key
from fairlead_graphql.listing import read_one
from fairlead_graphql.mutation import Answer, UserError, client_mutation, done, or_none
from fairlead_graphql.policy import reached_with
from fairlead_graphql.selection import Selection

MOST_IDS = 250


@strawberry.input(description="A new segment.")
class CreateSegmentInput:
    """Input of ``createSegment``."""

    client: str = client_slug()
    name: str = strawberry.field(description="Its key in other rules, 1 to 80 characters; never changes.")
    title: str | None = strawberry.field(
        default=strawberry.UNSET, description="Name for people; the name unless given."
    )
    rule: RuleInput = strawberry.field(description="Whom it holds.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A change of a segment; what is left out stays.")
class UpdateSegmentInput:
    """Input of ``updateSegment``."""

    client: str = client_slug()
    segment_id: strawberry.ID = strawberry.field(description="The segment.")
    title: str | None = strawberry.field(default=strawberry.UNSET, description="New name for people.")
    rule: RuleInput | None = strawberry.field(default=strawberry.UNSET, description="New rule.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A segment to act on.")
class SegmentInput:
    """Input of ``archiveSegment`` and ``refreshSegment``."""

    client: str = client_slug()
    segment_id: strawberry.ID = strawberry.field(description="The segment.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A new tag.")
class CreateTagInput:
    """Input of ``createTag``."""

    client: str = client_slug()
    name: str = strawberry.field(description="Its name, 1 to 80 characters.")
    parent_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="The tag of level 1 above it."
    )
    rule: RuleInput | None = strawberry.field(
        default=strawberry.UNSET, description="Who shall have it, decided at each refreshTag; by hand without a rule."
    )
    note: str = strawberry.field(default="", description="What it is for.")
    owner: str = strawberry.field(default="", description="Who looks after it, at most 80 characters.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="People to put a tag on or take it off. Give profileIds or a rule.")
class TagProfilesInput:
    """Input of ``tagProfiles`` and ``untagProfiles``."""

    client: str = client_slug()
    tag_id: strawberry.ID = strawberry.field(description="The tag.")
    profile_ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="At most 250 people."
    )
    rule: RuleInput | None = strawberry.field(
        default=strawberry.UNSET, description="Everybody for whom this holds now."
    )
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A tag whose own rule shall decide again.")
class RefreshTagInput:
    """Input of ``refreshTag``."""

    client: str = client_slug()
    tag_id: strawberry.ID = strawberry.field(description="The tag.")
    idempotency_key: str | None = idempotency_key()


@strawberry.input(description="A scoring scheme to run over everybody.")
class RunScoringInput:
    """Input of ``runScoring``."""

    client: str = client_slug()
    scheme: str = strawberry.field(description="Name of the scheme.")
    settings: JSON | None = strawberry.field(
        default=strawberry.UNSET,
        description="Its settings, as its JSON Schema describes them; those saved for the client unless given.",
    )
    idempotency_key: str | None = idempotency_key()


@reached_with("segments:write")
@strawberry.type(description="Answer of a mutation that changes a segment.")
class SegmentPayload:
    """Payload with a segment."""

    segment: Segment | None = strawberry.field(description="The segment as it is now.")
    errors: list[UserError] = errors()


@reached_with("segments:write")
@strawberry.type(description="Answer of `refreshSegment`.")
class RefreshSegmentPayload:
    """Payload of ``refreshSegment``."""

    job: Job | None = strawberry.field(description="The work; it has ended where no engine runs in the background.")
    segment: Segment | None = strawberry.field(description="The segment as it is now.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was accepted.")


@reached_with("segments:write")
@strawberry.type(description="Answer of `createTag`.")
class TagPayload:
    """Payload with a tag."""

    tag: Tag | None = strawberry.field(description="The tag as it is now.")
    errors: list[UserError] = errors()


@reached_with("segments:write")
@strawberry.type(description="Answer of a mutation that puts a tag on people or takes it off.")
class TagProfilesPayload:
    """Payload of ``tagProfiles``, ``untagProfiles`` and ``refreshTag``."""

    tag: Tag | None = strawberry.field(description="The tag as it is now.")
    added: int | None = strawberry.field(description="How many people got it; by a rule, counted as a preview.")
    removed: int | None = strawberry.field(description="How many people lost it, counted likewise.")
    errors: list[UserError] = errors()


@reached_with("segments:write")
@strawberry.type(description="Answer of `runScoring`.")
class RunScoringPayload:
    """Payload of ``runScoring``."""

    job: Job | None = strawberry.field(description="The work; it has ended where no engine runs in the background.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was accepted.")


def _segment(context: Context, client_id: int, number: int, selection: Selection) -> Any:
    query = sa.select(model.Segment).where(model.Segment.id == number)
    return read_one(context.work(client_id), SEGMENT, query, selection.below("segment"))


def _show_segment(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> SegmentPayload:
    assert client_id is not None
    return done(SegmentPayload, segment=_segment(context, client_id, answer["segment"], selection))


def _show_refresh(
    context: Context, client_id: int | None, answer: Answer, selection: Selection
) -> RefreshSegmentPayload:
    assert client_id is not None
    hand_over(context, client_id, answer["job"], workflows.run_refresh)
    return done(
        RefreshSegmentPayload,
        job=read_job(context.work(client_id), answer["job"], selection.below("job")),
        segment=_segment(context, client_id, answer["segment"], selection),
    )


def _show_tag(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> Any:
    assert client_id is not None
    query = sa.select(model.Tag).where(model.Tag.id == answer["tag"])
    tag = read_one(context.work(client_id), TAG, query, selection.below("tag"))
    if "added" not in answer:
        return done(TagPayload, tag=tag)
    work = context.work(client_id)
    counts = {
        # Whom the caller named, they can count; whom a rule found is told as a preview of the rule would tell it.
        name: shown_count(work, answer[name]) if name in answer["ruled"] else answer[name]
        for name in ("added", "removed")
    }
    return done(TagProfilesPayload, tag=tag, **counts)


def _show_scoring(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> RunScoringPayload:
    assert client_id is not None
    hand_over(context, client_id, answer["job"], workflows.run_score)
    return done(RunScoringPayload, job=read_job(context.work(client_id), answer["job"], selection.below("job")))


def _people(given: TagProfilesInput) -> list[int] | None:
    chosen = or_none(given.profile_ids)
    if chosen is None:
        return None
    if len(chosen) > MOST_IDS:
        raise InvalidInput(f"at most {MOST_IDS} people at once", path=("profileIds",), next_step="use a rule")
    return [from_global("Profile", one, path=("profileIds", at)) for at, one in enumerate(chosen)]


def _rule(given: RuleInput | None) -> Any:
    return None if or_none(given) is None else rule_json(given)


@strawberry.type
class AudiencesMutation:
    """Mixed into ``Mutation``."""

    @client_mutation(
        "segments:write",
        payload=SegmentPayload,
        present=_show_segment,
        description="Make a segment. It is empty until it is refreshed.",
    )
    def create_segment(work: Work, given: CreateSegmentInput) -> Answer:
        title = or_none(given.title) or given.name
        with at_rule():
            return {"segment": service.create_segment(work, given.name, title, rule_json(given.rule)).id}

    @client_mutation(
        "segments:write",
        payload=SegmentPayload,
        present=_show_segment,
        description="Change a segment's title or rule. Who is in it changes at the next refresh.",
    )
    def update_segment(work: Work, given: UpdateSegmentInput) -> Answer:
        number = from_global("Segment", given.segment_id, path=("segmentId",))
        with at_rule():
            service.update_segment(work, number, title=or_none(given.title), rule=_rule(given.rule))
        return {"segment": number}

    @client_mutation(
        "segments:write",
        payload=SegmentPayload,
        present=_show_segment,
        description="Take a segment out of use. Refused while another segment uses it.",
    )
    def archive_segment(work: Work, given: SegmentInput) -> Answer:
        number = from_global("Segment", given.segment_id, path=("segmentId",))
        return {"segment": service.archive_segment(work, number).id}

    @client_mutation(
        "segments:write",
        payload=RefreshSegmentPayload,
        present=_show_refresh,
        description="Bring a segment's members to what its rule says now. The job tells when that is done.",
    )
    def refresh_segment(work: Work, given: SegmentInput) -> Answer:
        number = from_global("Segment", given.segment_id, path=("segmentId",))
        return {"segment": number, "job": workflows.queue_refresh(work, number).id}

    @client_mutation("segments:write", payload=TagPayload, present=_show_tag, description="Make a tag.")
    def create_tag(work: Work, given: CreateTagInput) -> Answer:
        parent = or_none(given.parent_id)
        owner = given.owner.strip()
        if len(owner) > service.LONGEST_NAME:
            raise InvalidInput(f"an owner has at most {service.LONGEST_NAME} characters", path=("owner",))
        with at_rule():
            tag = tag_service.create_tag(
                work,
                given.name,
                parent_id=None if parent is None else from_global("Tag", parent, path=("parentId",)),
                rule=_rule(given.rule),
                note=given.note,
                owner=owner,
            )
        return {"tag": tag.id}

    @client_mutation(
        "profiles:write", payload=TagProfilesPayload, present=_show_tag, description="Put a tag on people."
    )
    def tag_profiles(work: Work, given: TagProfilesInput) -> Answer:
        tag = from_global("Tag", given.tag_id, path=("tagId",))
        with at_rule():
            count = tag_service.tag_profiles(work, tag, _people(given), rule=_rule(given.rule))
        return {"tag": tag, "added": count, "removed": 0, "ruled": ["added"] if or_none(given.rule) else []}

    @client_mutation(
        "profiles:write", payload=TagProfilesPayload, present=_show_tag, description="Take a tag off people."
    )
    def untag_profiles(work: Work, given: TagProfilesInput) -> Answer:
        tag = from_global("Tag", given.tag_id, path=("tagId",))
        with at_rule():
            count = tag_service.untag_profiles(work, tag, _people(given), rule=_rule(given.rule))
        return {"tag": tag, "added": 0, "removed": count, "ruled": ["removed"] if or_none(given.rule) else []}

    @client_mutation(
        "profiles:write",
        payload=TagProfilesPayload,
        present=_show_tag,
        description="Let a tag's own rule decide again who has it; who got it by hand keeps it.",
    )
    def refresh_tag(work: Work, given: RefreshTagInput) -> Answer:
        tag = from_global("Tag", given.tag_id, path=("tagId",))
        added, removed = tag_service.refresh_tag(work, tag)
        return {"tag": tag, "added": added, "removed": removed, "ruled": ["added", "removed"]}

    @client_mutation(
        "segments:write",
        payload=RunScoringPayload,
        present=_show_scoring,
        description="Score everybody by a scheme and replace their scores under it. The job tells when that is done.",
    )
    def run_scoring(work: Work, given: RunScoringInput) -> Answer:
        settings = or_none(given.settings)
        if settings is not None and not isinstance(settings, dict):
            raise InvalidInput("settings are an object", path=("settings",), next_step="see the scheme's JSON Schema")
        return {"job": workflows.queue_scoring(work, given.scheme, settings).id}
