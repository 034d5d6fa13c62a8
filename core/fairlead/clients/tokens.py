"""API tokens: issued once in clear, kept as a hash, narrowed, expiring, rotatable, revocable. Agency-wide work.

A token is ``fl_`` and 256 random bits in base64url, so its plain SHA-256 cannot be guessed back and needs no salt. It
is found by that digest in a unique index; how long the look-up takes says nothing about the token.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from fairlead.clients.access import Access, access_of, require_cover
from fairlead.clients.members import get_member
from fairlead.clients.model import ApiToken, Client, Member
from fairlead.errors import Conflict, Forbidden, InvalidInput, NotFound
from fairlead.governance.audit import record
from fairlead.governance.permissions import PERMISSIONS, Anonymous, Principal
from fairlead.storage.session import ScopedSession
from fairlead.work import Work

PREFIX = "fl_"
FORM = re.compile(r"fl_[A-Za-z0-9_-]{43}")
DEFAULT_DAYS = 90
MOST_DAYS = 400
LONGEST_GRACE = dt.timedelta(days=7)
TOUCH_EVERY = dt.timedelta(minutes=1)
PERMISSION = "tokens:write"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh token. ``secret`` is shown this once and kept nowhere."""

    token: ApiToken
    secret: str

    def __repr__(self) -> str:
        return f"IssuedToken(id={self.token.id})"


def issue_token(
    work: Work,
    member_id: int,
    name: str,
    *,
    client_ids: Iterable[int] | None = None,
    permissions: Iterable[str] | None = None,
    days: int = DEFAULT_DAYS,
) -> IssuedToken:
    """A token for a member, narrowed to clients and permissions if given; it ends after ``days`` (1 to 400).

    Raises ``Forbidden`` when the token could do more than the actor, ``InvalidInput`` for what cannot be.
    """
    work.actor.require(PERMISSION)
    member = get_member(work, member_id)
    if member.state != "active":
        raise Conflict("the member is disabled", next_step="enable the member first")
    if not (0 < len(name.strip()) <= 80 and name.isprintable()):
        raise InvalidInput("a name has 1 to 80 printable characters", path=("name",))
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"a token lives 1 to {MOST_DAYS} days", path=("days",))
    scope = None if client_ids is None else sorted(set(client_ids))
    kept = None if permissions is None else sorted(set(permissions))
    _check_scope(work, member, scope, kept)
    issued = _make(work, member, name.strip(), scope, kept, work.now + dt.timedelta(days=days))
    record(work, "token.issued", "api_token", issued.token.id, None, _shown(issued.token))
    return issued


def rotate_token(work: Work, token_id: int, *, grace_minutes: int = 0, days: int | None = None) -> IssuedToken:
    """A new token with an old one's scope; the old one stays valid for ``grace_minutes`` (up to 7 days).

    The new one lives ``days``, or as long as the old one was meant to. Anybody may rotate the token they ask with, but
    without the permission to issue tokens the new one ends when the old one was to end: a stolen token cannot renew
    itself for ever. Raises ``InvalidInput`` for a wrong number, ``Forbidden`` for more days than are left.
    """
    token = _own_or_permitted(work, token_id)
    grace = dt.timedelta(minutes=grace_minutes)
    if not dt.timedelta(0) <= grace <= LONGEST_GRACE:
        raise InvalidInput("the grace is 0 minutes to 7 days", path=("graceMinutes",))
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"a token lives 1 to {MOST_DAYS} days", path=("days",))
    if _ended(token, work.now):
        raise Conflict("the token is expired or revoked", next_step="issue a new one")
    if token.replaced_by is not None:
        raise Conflict("the token was rotated before", next_step="rotate the token that replaced it")
    member = get_member(work, token.member_id)
    if member.state != "active":
        raise Conflict("the member is disabled", next_step="enable the member first")
    _check_scope(work, member, token.client_ids, token.permissions)
    issued = _make(work, member, token.name, token.client_ids, token.permissions, _successor_ends(work, token, days))
    token.replaced_by = issued.token.id
    if grace:
        token.expires_at = min(token.expires_at, work.now + grace)
    else:
        token.revoked_at = work.now
    after = {**_shown(issued.token), "replaces": token.id, "grace_minutes": grace_minutes}
    record(work, "token.rotated", "api_token", issued.token.id, None, after)
    return issued


def revoke_token(work: Work, token_id: int) -> ApiToken:
    """End a token now; the next request with it is nobody's. Anybody may revoke the token they ask with.

    Only this one ends. A token that it was rotated to is named by ``replaced_by`` and stays as it is, so that ending
    an old token within its grace does not lock out who moved on already; whoever suspects both ends both.
    """
    token = _own_or_permitted(work, token_id)
    if token.revoked_at is None:
        token.revoked_at = work.now
        record(work, "token.revoked", "api_token", token.id, None, {"revoked": True})
    return token


def list_tokens(
    work: Work, agency_id: int, *, member_id: int | None = None, first: int = 20, after_id: int = 0, ended: bool = False
) -> list[ApiToken]:
    """Tokens by id after ``after_id`` (keyset), without those that ended unless asked for."""
    work.actor.require("members:read")
    query = (
        sa.select(ApiToken)
        .join(Member, Member.id == ApiToken.member_id)
        .where(Member.agency_id == agency_id, ApiToken.id > after_id)
        .order_by(ApiToken.id)
        .limit(first)
    )
    if member_id is not None:
        query = query.where(ApiToken.member_id == member_id)
    if not ended:
        query = query.where(ApiToken.revoked_at.is_(None), ApiToken.expires_at > work.now)
    return list(work.session.scalars(query))


# -- asking with a token --------------------------------------------------------------------------------------------


def authenticate(session: ScopedSession, secret: str, now: dt.datetime) -> Principal | Anonymous:
    """Who holds this token: nobody for one that is malformed, unknown, expired, revoked, or of a disabled member."""
    if not FORM.fullmatch(secret):
        return Anonymous()
    return _principal(session, ApiToken.digest == digest_of(secret), now)


def reload(session: ScopedSession, principal: Principal, now: dt.datetime) -> Principal | Anonymous:
    """The same caller by what holds now."""
    return _principal(session, ApiToken.id == principal.token_id, now)


def still_valid(session: ScopedSession, principal: Principal, now: dt.datetime) -> bool:
    """Whether the token still gives exactly what ``principal`` says."""
    return reload(session, principal, now) == principal


def touch(session: ScopedSession, token_id: int, now: dt.datetime) -> bool:
    """Note that the token was used, at most once a minute; says whether it was noted."""
    result = session.execute(
        sa.update(ApiToken)
        .where(
            ApiToken.id == token_id,
            sa.or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= now - TOUCH_EVERY),
        )
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )
    return bool(getattr(result, "rowcount", 0))


def digest_of(secret: str) -> bytes:
    """What is kept of a token: SHA-256, 32 bytes."""
    return hashlib.sha256(secret.encode()).digest()


# -- inside ---------------------------------------------------------------------------------------------------------


def _principal(session: ScopedSession, which: sa.ColumnElement[bool], now: dt.datetime) -> Principal | Anonymous:
    row = session.execute(
        sa.select(
            ApiToken.id,
            ApiToken.client_ids,
            ApiToken.permissions,
            Member.id.label("member_id"),
            Member.agency_id,
            Member.name,
        )
        .join(Member, Member.id == ApiToken.member_id)
        .where(which, ApiToken.revoked_at.is_(None), ApiToken.expires_at > now, Member.state == "active")
    ).one_or_none()
    if row is None:
        return Anonymous()
    access = access_of(session, row.agency_id, row.member_id).narrowed(row.permissions)
    return Principal(
        member_id=row.member_id,
        token_id=row.id,
        agency_id=row.agency_id,
        name=row.name,
        everywhere=access.everywhere,
        at=access.at,
        only_clients=None if row.client_ids is None else frozenset(row.client_ids),
    )


def _make(
    work: Work,
    member: Member,
    name: str,
    client_ids: list[int] | None,
    permissions: list[str] | None,
    expires_at: dt.datetime,
) -> IssuedToken:
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        member_id=member.id,
        name=name,
        hint=f"{secret[:6]}…{secret[-4:]}",
        digest=digest_of(secret),
        client_ids=client_ids,
        permissions=permissions,
        created_at=work.now,
        expires_at=expires_at,
    )
    work.session.add(token)
    work.session.flush()
    return IssuedToken(token, secret)


def _check_scope(work: Work, member: Member, client_ids: list[int] | None, permissions: list[str] | None) -> None:
    unknown = sorted(set(permissions or ()) - PERMISSIONS)
    if unknown or (permissions is not None and not permissions):
        raise InvalidInput(
            f"no such permission: {', '.join(unknown)[:200]}" if unknown else "a token needs a permission",
            path=("permissions",),
        )
    if client_ids is not None:
        known = set(
            work.session.scalars(
                sa.select(Client.id).where(Client.id.in_(client_ids), Client.agency_id == member.agency_id)
            )
        )
        if not client_ids or known != set(client_ids):
            raise InvalidInput("there is no such client", path=("clientIds",))
    access: Access = access_of(work.session, member.agency_id, member.id).narrowed(permissions)
    scope = None if client_ids is None else frozenset(client_ids)
    require_cover(work.actor, access.within(scope), "the token could do more than you")


def _own_or_permitted(work: Work, token_id: int) -> ApiToken:
    token = work.session.get(ApiToken, token_id, with_for_update=True)
    actor = work.actor
    own = isinstance(actor, Principal) and actor.token_id == token_id
    if not own:
        work.actor.require(PERMISSION)
    if token is None:
        raise NotFound("there is no such token")
    member = get_member(work, token.member_id)
    if not own:
        access = access_of(work.session, member.agency_id, member.id).narrowed(token.permissions)
        scope = None if token.client_ids is None else frozenset(token.client_ids)
        try:
            require_cover(actor, access.within(scope), "the token can do more than you")
        except Forbidden:
            raise Forbidden("the token can do more than you", next_step="ask an admin of the agency") from None
    return token


def _successor_ends(work: Work, token: ApiToken, days: int | None) -> dt.datetime:
    lifetime = token.expires_at - token.created_at if days is None else dt.timedelta(days=days)
    ends = work.now + lifetime
    if ends <= token.expires_at or work.actor.may(PERMISSION):
        return ends
    if days is not None:
        raise Forbidden(
            "the new token would live longer than the one you ask with",
            next_step="leave days out, or ask somebody with tokens:write for a new token",
        )
    return token.expires_at


def _ended(token: ApiToken, now: dt.datetime) -> bool:
    return token.revoked_at is not None or token.expires_at <= now


def _shown(token: ApiToken) -> dict[str, object]:
    return {
        "member": token.member_id,
        "clients": token.client_ids,
        "permissions": token.permissions,
        "expires_at": token.expires_at,
    }
