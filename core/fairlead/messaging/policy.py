"""A client's messaging policy: quiet hours and caps, and when a person may be written to."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field

from fairlead.errors import InvalidInput
from fairlead.governance.audit import record
from fairlead.messaging.model import MessagingPolicy
from fairlead.work import Work

PERIODS = {"day": dt.timedelta(days=1), "week": dt.timedelta(days=7), "month": dt.timedelta(days=30)}


class Cap(BaseModel):
    """At most ``limit`` messages per person in a rolling period; ``*`` stands for any purpose or channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    per: Literal["day", "week", "month"]
    limit: int = Field(ge=1, le=1000)
    purpose: str = Field(default="*", max_length=24)
    channel: str = Field(default="*", max_length=40)

    def covers(self, purpose: str, channel: str) -> bool:
        """Whether a message counts for this cap."""
        return self.purpose in ("*", purpose) and self.channel in ("*", channel)


class Policy(BaseModel):
    """Quiet hours in minutes of the day in the person's zone (``from`` included, ``until`` not), and caps.

    Equal ends mean no quiet hours. The default, 21:00 to 8:00, is what providers in China hold marketing messages to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    quiet_from: int = Field(default=21 * 60, ge=0, le=1439)
    quiet_until: int = Field(default=8 * 60, ge=0, le=1439)
    caps: tuple[Cap, ...] = (
        Cap(per="day", limit=2, purpose="marketing"),
        Cap(per="week", limit=5, purpose="marketing"),
    )


def get_policy(work: Work) -> Policy:
    """The client's policy, or the default."""
    row = work.session.get(MessagingPolicy, work.client_id)
    if row is None:
        return Policy()
    return Policy.model_validate({"quiet_from": row.quiet_from, "quiet_until": row.quiet_until, "caps": row.caps})


def set_policy(work: Work, policy: Policy) -> Policy:
    """Replace the client's policy; it holds for every message not yet claimed."""
    before = get_policy(work)
    row = work.session.get(MessagingPolicy, work.client_id)
    if row is None:
        row = MessagingPolicy(changed_at=work.now)
        work.session.add(row)
    row.quiet_from, row.quiet_until, row.changed_at = policy.quiet_from, policy.quiet_until, work.now
    row.caps = [cap.model_dump() for cap in policy.caps]
    work.session.flush()
    record(work, "messaging_policy.set", "client", str(work.client_id), before.model_dump(), policy.model_dump())
    return policy


@functools.lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The zone; raises :class:`InvalidInput` for a name that is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidInput(f"{name!r} is no IANA time zone", path=("zone",)) from None


def next_allowed(policy: Policy, zone: str, now: dt.datetime) -> dt.datetime:
    """``now`` when a message may leave now, else the end of the quiet hours as an instant.

    Local times that a clock change skips are resolved as :mod:`zoneinfo` does (PEP 495); of those it repeats, the next
    one counts.
    """
    local = now.astimezone(zone_of(zone))
    minute = local.hour * 60 + local.minute
    start, end = policy.quiet_from, policy.quiet_until
    quiet = start <= minute < end if start < end else start != end and (minute >= start or minute < end)
    if not quiet:
        return now
    day = local.date() + dt.timedelta(days=1 if minute >= end else 0)
    for fold in (0, 1):
        opens = dt.datetime.combine(day, dt.time(end // 60, end % 60, fold=fold), local.tzinfo).astimezone(dt.UTC)
        if opens > now:
            return opens
    return now + dt.timedelta(minutes=1)
