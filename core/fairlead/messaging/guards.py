"""What stands between a queued message and its sending: every refusal has a reason, every delay a time.

The checks run in the transaction that claims the messages, set-based over the batch, so nothing can change between the
check and the claim.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from fairlead.clients.service import get_client
from fairlead.customers.model import BlockedIdentity, Consent, Identity, Profile, Suppression
from fairlead.journeys.model import Enrolment, Journey
from fairlead.messaging.follow import REPEATED, repeated
from fairlead.messaging.model import OPTED_OUT, PAUSED, SENDING, SENT, UNKNOWN, Message
from fairlead.messaging.policy import PERIODS, Policy, get_policy, next_allowed, zone_of
from fairlead.storage.locks import lock
from fairlead.storage.types import Sealed
from fairlead.work import Work

NO_PERSON = "profile_not_active"
NO_CONSENT = "no_consent"
NO_ADDRESS = "no_address"
SUPPRESSED = "suppressed"
CAP = "frequency_cap"
QUIET = "quiet_hours"
MINOR = "minor"
ARCHIVED = "journey_archived"
LONGEST_CALL = dt.timedelta(minutes=1)
"""How long what the guards say is good for: after it nothing more is begun."""
PAUSE_LOOK = dt.timedelta(minutes=10)
FULL_AGE = 18
EXEMPT = frozenset({"service"})
"""Purposes that need no consent and keep no quiet hours: what the person asked for, such as an order's state."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes: the identity's kind and its sealed value; ``opted_out`` from all that needs consent."""

    kind: str
    value: Sealed
    opted_out: bool = False


@dataclass(slots=True)
class Verdicts:
    """What the guards say of a batch, by message id. ``quiet_from`` is when the first that passes falls quiet."""

    addresses: dict[int, Address] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    delayed: dict[int, tuple[dt.datetime, str]] = field(default_factory=dict)
    quiet_from: dt.datetime | None = None


def judge(work: Work, messages: Sequence[Message], kinds: Sequence[str], scope: str = "") -> Verdicts:
    """Refuse, delay or let pass each message of one account.

    ``kinds`` are its channel's address kinds, best first; ``scope`` is the app or shop whose identities it reaches.
    """
    verdicts = Verdicts()
    profiles = _profiles(work, messages)
    consented, withdrawn = _consented(work, messages)
    addresses, suppressed = _addresses(work, messages, kinds, scope)
    stopped = _stopped_journeys(work, messages)
    twice = repeated(work, messages)
    policy, zone = get_policy(work), get_client(work.session, work.client_id).zone
    today = work.now.astimezone(zone_of(zone)).date()
    for message in messages:
        state, own_zone, born = profiles.get(message.profile_id, ("missing", None, None))
        if stopped.get(message.id) == "archived":
            verdicts.refused[message.id] = ARCHIVED
        elif stopped.get(message.id) == "paused":
            verdicts.delayed[message.id] = (work.now + PAUSE_LOOK, PAUSED)
        elif message.id in twice:
            verdicts.refused[message.id] = REPEATED
        elif state != "active":
            verdicts.refused[message.id] = NO_PERSON
        elif message.id in withdrawn or (message.purpose not in EXEMPT and message.id not in consented):
            verdicts.refused[message.id] = NO_CONSENT
        elif message.purpose not in EXEMPT and message.enrolment_id is not None and is_minor(born, today):
            verdicts.refused[message.id] = MINOR
        elif message.profile_id not in addresses:
            verdicts.refused[message.id] = SUPPRESSED if message.profile_id in suppressed else NO_ADDRESS
        elif message.purpose not in EXEMPT and addresses[message.profile_id].opted_out:
            verdicts.refused[message.id] = SUPPRESSED
        else:
            verdicts.addresses[message.id] = addresses[message.profile_id]
            if message.purpose not in EXEMPT:
                _keep_quiet(work, verdicts, message.id, policy, own_zone or zone)
    _hold_to_caps(work, messages, verdicts, policy)
    return verdicts


def _keep_quiet(work: Work, verdicts: Verdicts, message_id: int, policy: Policy, zone: str) -> None:
    allowed = next_allowed(policy, zone, work.now)
    if allowed > work.now:
        verdicts.delayed[message_id] = (allowed, QUIET)
        return
    # Quiet hours begin on a whole minute, and a call is over before the one after the next.
    edge = work.now.replace(second=0, microsecond=0) + LONGEST_CALL
    if next_allowed(policy, zone, edge) > edge:
        verdicts.quiet_from = min(edge, verdicts.quiet_from or edge)


def is_minor(born: dt.date | None, today: dt.date) -> bool:
    """Whether somebody born then is under 18, whom nobody may send marketing to by automated decision.

    Source: Regulations on the Protection of Minors in Cyberspace (China, 2024), article 24.
    """
    if born is None:
        return False
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day)) < FULL_AGE


def _profiles(work: Work, messages: Sequence[Message]) -> dict[int, tuple[str, str | None, dt.date | None]]:
    rows = work.session.execute(
        sa.select(Profile.id, Profile.state, Profile.zone, Profile.birth_date).where(
            Profile.id.in_({row.profile_id for row in messages})
        )
    )
    return {profile_id: (state, zone, born) for profile_id, state, zone, born in rows}


def _stopped_journeys(work: Work, messages: Sequence[Message]) -> dict[int, str]:
    """By message the state of its journey, where that is paused or archived."""
    of_journeys = [row.id for row in messages if row.enrolment_id is not None]
    rows = work.session.execute(
        sa.select(Message.id, Journey.state)
        .join(Enrolment, Enrolment.id == Message.enrolment_id)
        .join(Journey, Journey.id == Enrolment.journey_id)
        .where(Message.id.in_(of_journeys), Journey.state.in_(("paused", "archived")))
    )
    return dict(rows.all())


def _consented(work: Work, messages: Sequence[Message]) -> tuple[set[int], set[int]]:
    """Messages whose person agreed to this purpose, and those whose person withdrew.

    A word about the channel outweighs one about all channels; a withdrawal holds for exempt purposes too.
    """
    own, general = aliased(Consent), aliased(Consent)

    def live(row: type[Consent]) -> sa.ColumnElement[bool]:
        return sa.and_(row.state == "granted", sa.or_(row.expires_at.is_(None), row.expires_at > work.now))

    rows = work.session.execute(
        sa.select(
            Message.id,
            sa.or_(live(own), sa.and_(own.id.is_(None), live(general))),
            sa.func.coalesce(own.state, general.state) == "withdrawn",
        )
        .outerjoin(
            own,
            sa.and_(
                own.profile_id == Message.profile_id, own.purpose == Message.purpose, own.channel == Message.channel
            ),
        )
        .outerjoin(
            general,
            sa.and_(
                general.profile_id == Message.profile_id, general.purpose == Message.purpose, general.channel == "*"
            ),
        )
        .where(Message.id.in_([row.id for row in messages]))
    ).all()
    agreed = {message_id for message_id, granted, _ in rows if granted}
    return agreed, {message_id for message_id, _, gone in rows if gone}


def _addresses(
    work: Work, messages: Sequence[Message], kinds: Sequence[str], scope: str
) -> tuple[dict[int, Address], set[int]]:
    """The best address per profile that is neither bounced nor suppressed, and profiles that had a suppressed one."""
    suppression = aliased(Suppression)
    channel = messages[0].channel if messages else ""
    rows = work.session.execute(
        sa.select(Identity.id, Identity.profile_id, Identity.kind, Identity.value, Identity.state, suppression.reason)
        .outerjoin(
            suppression,
            sa.and_(
                suppression.kind == Identity.kind,
                suppression.blind == Identity.blind,
                suppression.channel.in_((channel, "*")),
            ),
        )
        .where(
            Identity.profile_id.in_({row.profile_id for row in messages}),
            Identity.kind.in_(kinds),
            Identity.scope.in_({"", scope}),
            ~sa.exists().where(
                BlockedIdentity.kind == Identity.kind,
                BlockedIdentity.scope == Identity.scope,
                BlockedIdentity.blind == Identity.blind,
            ),
        )
        .order_by(Identity.id)
    ).all()
    shut = {row.id: row.profile_id for row in rows if row.state != "active" or row.reason not in (None, OPTED_OUT)}
    found: dict[int, tuple[tuple[bool, int], Address]] = {}
    for identity_id, profile_id, kind, value, _, reason in rows:
        opted_out = reason == OPTED_OUT
        rank = (opted_out, kinds.index(kind))
        if identity_id not in shut and (profile_id not in found or rank < found[profile_id][0]):
            found[profile_id] = (rank, Address(kind, value, opted_out))
    return {profile_id: address for profile_id, (_, address) in found.items()}, set(shut.values())


def _hold_to_caps(work: Work, messages: Sequence[Message], verdicts: Verdicts, policy: Policy) -> None:
    """Refuse what would go beyond a cap, counting the batch's own messages in order.

    One batch of a client is counted at a time, since two accounts may be about to write to the same person.
    """
    if policy.caps:
        lock(work.session, f"caps/{work.client_id}")
    for cap in policy.caps:
        passing = [
            message
            for message in messages
            if message.id in verdicts.addresses
            and message.id not in verdicts.delayed
            and message.id not in verdicts.refused
            and message.purpose not in EXEMPT
            and cap.covers(message.purpose, message.channel)
        ]
        if not passing:
            continue
        count = _sent_since(
            work, {message.profile_id for message in passing}, cap.purpose, cap.channel, work.now - PERIODS[cap.per]
        )
        for message in passing:
            before = count.get(message.profile_id, 0)
            if before >= cap.limit:
                verdicts.refused[message.id] = CAP
            else:
                count[message.profile_id] = before + 1


def _sent_since(work: Work, profiles: set[int], purpose: str, channel: str, since: dt.datetime) -> dict[int, int]:
    conditions = [
        Message.profile_id.in_(profiles),
        Message.state.in_((SENT, SENDING, UNKNOWN)),
        Message.sent_at > since,
    ]
    if purpose != "*":
        conditions.append(Message.purpose == purpose)
    else:
        conditions.append(Message.purpose.not_in(EXEMPT))
    if channel != "*":
        conditions.append(Message.channel == channel)
    rows = work.session.execute(
        sa.select(Message.profile_id, sa.func.count()).where(*conditions).group_by(Message.profile_id)
    )
    return dict(rows.all())
