"""Changing customers: reveal, split, block, consent."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
import strawberry

from fairlead.customers.blocking import block_identity as block
from fairlead.customers.blocking import unblock_identity as unblock
from fairlead.customers.consent import grant, withdraw
from fairlead.customers.merging import split_profile as split
from fairlead.customers.model import Profile as ProfileRow
from fairlead.customers.profiles import reveal_profile as reveal
from fairlead.errors import InvalidInput, NotFound
from fairlead.governance.audit import record
from fairlead.work import Work
from fairlead_graphql.context import Context
from fairlead_graphql.customers.loaders import PROFILE
from fairlead_graphql.customers.types import Profile
from fairlead_graphql.ids import from_global, to_global
from fairlead_graphql.listing import read_one
from fairlead_graphql.mutation import Answer, UserError, client_mutation, done, or_none
from fairlead_graphql.paging import MOST
from fairlead_graphql.policy import reached_with
from fairlead_graphql.rows import rows
from fairlead_graphql.selection import Selection


@strawberry.input(description="Which profile to show in clear, and why.")
class RevealProfileInput:
    """Input of ``revealProfile``."""

    client: str = strawberry.field(description="Slug of the client.")
    profile_id: strawberry.ID = strawberry.field(description="The profile.")
    purpose: str = strawberry.field(description="Why, for the audit log: 3 to 200 characters.")
    idempotency_key: str | None = strawberry.field(default=strawberry.UNSET, description="The same key does it once.")


@reached_with("profiles:reveal")
@strawberry.type(description="An identity in clear.")
class RevealedIdentity:
    """A revealed identity."""

    id: strawberry.ID = strawberry.field(description="Global id of the identity.")
    kind: str = strawberry.field(description="What it is.")
    scope: str = strawberry.field(description="Where it is valid.")
    value: str = strawberry.field(description="The value.")


@reached_with("profiles:reveal")
@strawberry.type(description="Answer of `revealProfile`.")
class RevealProfilePayload:
    """Payload of ``revealProfile``."""

    name: str | None = strawberry.field(description="The name in clear, if one is known.")
    identities: list[RevealedIdentity] | None = rows(MOST, "The identities in clear.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


@reached_with("profiles:write")
@strawberry.type(description="Answer of a mutation that changes a profile.")
class ProfilePayload:
    """Payload with a profile."""

    profile: Profile | None = strawberry.field(description="The profile as it is now.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.input(description="A merge to undo.")
class SplitProfileInput:
    """Input of ``splitProfile``."""

    client: str = strawberry.field(description="Slug of the client.")
    merge_id: strawberry.ID = strawberry.field(description="The merge, from the profile's history.")
    idempotency_key: str | None = strawberry.field(default=strawberry.UNSET, description="The same key does it once.")


@strawberry.input(description="A consent to note.")
class RecordConsentInput:
    """Input of ``recordConsent``."""

    client: str = strawberry.field(description="Slug of the client.")
    profile_id: strawberry.ID = strawberry.field(description="The profile.")
    purpose: str = strawberry.field(description="marketing, personalisation, sharing or service.")
    channel: str = strawberry.field(default="*", description="The channel, or * for all.")
    granted: bool = strawberry.field(description="True for an agreement, false for its withdrawal.")
    source: str = strawberry.field(description="Where it was given, at most 40 characters.")
    text_version: str = strawberry.field(default="", description="Version of the text the person saw.")
    expires_at: dt.datetime | None = strawberry.field(
        default=strawberry.UNSET, description="When the agreement ends by itself; it has no end when left out."
    )
    idempotency_key: str | None = strawberry.field(default=strawberry.UNSET, description="The same key does it once.")


@strawberry.input(description="A value that must link nobody.")
class BlockIdentityInput:
    """Input of ``blockIdentity``."""

    client: str = strawberry.field(description="Slug of the client.")
    kind: str = strawberry.field(description="Such as phone or email.")
    value: str = strawberry.field(description="The value.")
    scope: str = strawberry.field(default="", description="The app or shop it is valid in.")
    reason: str = strawberry.field(description="Why, for the log.")
    idempotency_key: str | None = strawberry.field(default=strawberry.UNSET, description="The same key does it once.")


@reached_with("profiles:write")
@strawberry.type(description="Answer of `blockIdentity`.")
class BlockIdentityPayload:
    """Payload of ``blockIdentity``."""

    blocked: bool | None = strawberry.field(description="True when it links nobody from now on.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.input(description="A value that may link people again.")
class UnblockIdentityInput:
    """Input of ``unblockIdentity``."""

    client: str = strawberry.field(description="Slug of the client.")
    kind: str = strawberry.field(description="Such as phone or email.")
    value: str = strawberry.field(description="The value.")
    scope: str = strawberry.field(default="", description="The app or shop it is valid in.")
    idempotency_key: str | None = strawberry.field(default=strawberry.UNSET, description="The same key does it once.")


@reached_with("profiles:write")
@strawberry.type(description="Answer of `unblockIdentity`.")
class UnblockIdentityPayload:
    """Payload of ``unblockIdentity``."""

    was_blocked: bool | None = strawberry.field(description="False when it was not blocked, and nothing changed.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


def _profile(context: Context, client_id: int | None, answer: Answer, selection: Selection) -> ProfilePayload:
    assert client_id is not None
    query = sa.select(ProfileRow).where(ProfileRow.id == answer["profile"])
    found = read_one(context.work(client_id), PROFILE, query, selection.below("profile"))
    return done(ProfilePayload, profile=found)


def _revealed(context: Context, client_id: int | None, answer: Answer, _selection: Selection) -> RevealProfilePayload:
    assert client_id is not None
    shown = context.change(client_id, lambda work: reveal(work, answer["profile"], answer["purpose"]))
    identities = [
        RevealedIdentity(id=to_global("Identity", number), kind=kind, scope=scope, value=value)
        for number, kind, scope, value in shown["identities"]
    ]
    return done(RevealProfilePayload, name=shown["name"], identities=identities)


@strawberry.type
class CustomersMutation:
    """Mixed into ``Mutation``."""

    @client_mutation(
        "profiles:reveal",
        payload=RevealProfilePayload,
        present=_revealed,
        description="Show a person's name and identities in clear. Who looked and why is kept in the audit log.",
    )
    def reveal_profile(work: Work, given: RevealProfileInput) -> Answer:
        purpose = given.purpose.strip()
        if not 3 <= len(purpose) <= 200:
            raise InvalidInput("say why in 3 to 200 characters", path=("purpose",))
        number = from_global("Profile", given.profile_id, path=("profileId",))
        found = work.session.get(ProfileRow, number)
        if found is None or found.state == "erased":
            raise NotFound("there is no such profile", path=("profileId",))
        # What is shown is never part of the kept answer: it holds no personal data.
        return {"profile": number, "purpose": purpose}

    @client_mutation(
        "profiles:write",
        payload=ProfilePayload,
        present=_profile,
        description="Undo a merge: both people get back what is theirs, facts that came later included.",
    )
    def split_profile(work: Work, given: SplitProfileInput) -> Answer:
        return {"profile": split(work, from_global("ProfileMerge", given.merge_id, path=("mergeId",))).survivor_id}

    @client_mutation(
        "profiles:write",
        payload=ProfilePayload,
        present=_profile,
        description="Note an agreement or its withdrawal; the next message that is about to leave sees it.",
    )
    def record_consent(work: Work, given: RecordConsentInput) -> Answer:
        number = from_global("Profile", given.profile_id, path=("profileId",))
        found = work.session.get(ProfileRow, number)
        if found is None or found.state != "active":
            raise NotFound("there is no such profile", path=("profileId",))
        evidence = {"by": work.actor.actor}
        source = given.source.strip()
        if not 1 <= len(source) <= 40:
            raise InvalidInput("say where it was given, in 1 to 40 characters", path=("source",))
        if len(given.text_version) > 40:
            raise InvalidInput("a version has at most 40 characters", path=("text_version",))
        if given.granted:
            grant(
                work,
                number,
                given.purpose,
                given.channel,
                source=source,
                text_version=given.text_version,
                expires_at=or_none(given.expires_at),
                evidence=evidence,
            )
        else:
            withdraw(work, number, given.purpose, given.channel, source=source, evidence=evidence)
        action = "consent.granted" if given.granted else "consent.withdrawn"
        record(work, action, "profile", number, after={"purpose": given.purpose, "channel": given.channel})
        return {"profile": number}

    @client_mutation(
        "profiles:write",
        payload=BlockIdentityPayload,
        present=lambda _context, _client, _answer, _selection: done(BlockIdentityPayload, blocked=True),
        description="Let a value link nobody from now on: a shop's own phone, a test account.",
    )
    def block_identity(work: Work, given: BlockIdentityInput) -> Answer:
        block(work, given.kind, given.value, given.reason, scope=given.scope)
        return {"kind": given.kind}

    @client_mutation(
        "profiles:write",
        payload=UnblockIdentityPayload,
        present=lambda _context, _client, answer, _selection: done(UnblockIdentityPayload, was_blocked=answer["was"]),
        description="Let a blocked value link people again, from the next fact on.",
    )
    def unblock_identity(work: Work, given: UnblockIdentityInput) -> Answer:
        return {"was": unblock(work, given.kind, given.value, scope=given.scope)}
