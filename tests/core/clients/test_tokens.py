"""Tokens: shown once, kept as a hash, narrow, ending, and gone at once when revoked."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from typing import Any

import pytest
import sqlalchemy as sa

from fairlead.clients import members, tokens
from fairlead.clients.model import ApiToken
from fairlead.errors import Conflict, Forbidden, InvalidInput, NotFound
from fairlead.governance.permissions import PERMISSIONS, READS, ROLES, Anonymous, Principal
from fairlead.runtime import Fairlead
from fairlead.testing.fakes import FakeClock
from support.rows import audit_entries


@pytest.fixture
def admin(runtime: Fairlead, agency: Any) -> int:
    with runtime.agency_work("test") as work:
        return members.add_member(work, agency.id, "Root", "root@example.com", role="admin").id


def issue(runtime: Fairlead, member: int, **options: Any) -> tokens.IssuedToken:
    with runtime.agency_work("test") as work:
        return tokens.issue_token(work, member, "test", **options)


def principal(runtime: Fairlead, secret: str) -> Principal:
    found = runtime.authenticate(secret)
    assert isinstance(found, Principal)
    return found


def test_a_token_has_256_bits_and_is_kept_as_its_hash(runtime: Fairlead, admin: int) -> None:
    issued = issue(runtime, admin)
    assert re.fullmatch(r"fl_[A-Za-z0-9_-]{43}", issued.secret)
    assert len(base64.urlsafe_b64decode(issued.secret[3:] + "=")) == 32
    assert issued.secret not in repr(issued)
    with runtime.agency_reading("test") as work:
        row = work.session.get(ApiToken, issued.token.id)
        assert row is not None
        assert bytes(row.digest) == hashlib.sha256(issued.secret.encode()).digest()
        assert issued.secret not in repr([getattr(row, column.key) for column in sa.inspect(ApiToken).columns])
        entry = audit_entries(work, object_type="api_token")[0]
        assert issued.secret[3:20] not in repr(entry.after)


def test_who_asks_is_known(runtime: Fairlead, admin: int, agency: Any) -> None:
    found = principal(runtime, issue(runtime, admin).secret)
    assert found.everywhere == PERMISSIONS
    assert found.may("profiles:reveal", agency.acme)
    assert found.actor == f"member:{admin}/token:{found.token_id}"


@pytest.mark.parametrize(
    "secret",
    ["", "fl_", "fl_" + "a" * 42, "fl_" + "a" * 43, "fl_" + "a" * 44, "xx_" + "a" * 43, "fl_" + "ä" * 43, "\0"],
)
def test_what_is_no_token_is_nobody(runtime: Fairlead, admin: int, secret: str) -> None:
    assert isinstance(runtime.authenticate(secret), Anonymous)


def test_a_token_narrows(runtime: Fairlead, admin: int, agency: Any) -> None:
    narrow = principal(
        runtime, issue(runtime, admin, client_ids=[agency.acme], permissions=["profiles:read", "jobs:read"]).secret
    )
    assert narrow.may("profiles:read", agency.acme)
    assert not narrow.may("profiles:write", agency.acme)
    assert not narrow.may("profiles:read", agency.bolt)
    assert not narrow.may("profiles:read")
    assert not narrow.sees(agency.bolt)
    with pytest.raises(NotFound):
        narrow.require("profiles:read", agency.bolt)


def test_it_ends(runtime: Fairlead, admin: int, clock: FakeClock) -> None:
    secret = issue(runtime, admin, days=1).secret
    found = principal(runtime, secret)
    clock.advance(hours=23, minutes=59)
    assert runtime.still_valid(found)
    clock.advance(minutes=1)
    assert isinstance(runtime.authenticate(secret), Anonymous)
    assert not runtime.still_valid(found)


@pytest.mark.parametrize("days", [0, -1, 401])
def test_it_must_end(runtime: Fairlead, admin: int, days: int) -> None:
    with pytest.raises(InvalidInput):
        issue(runtime, admin, days=days)


def test_revoked_means_now(runtime: Fairlead, admin: int) -> None:
    issued = issue(runtime, admin)
    found = principal(runtime, issued.secret)
    with runtime.agency_work("test") as work:
        tokens.revoke_token(work, issued.token.id)
    assert isinstance(runtime.authenticate(issued.secret), Anonymous)
    assert not runtime.still_valid(found)


def test_a_disabled_member_is_nobody_until_enabled(runtime: Fairlead, agency: Any, admin: int) -> None:
    with runtime.agency_work("test") as work:
        member = members.add_member(work, agency.id, "Li", "li@example.com", role="analyst").id
    secret = issue(runtime, member).secret
    with runtime.agency_work("test") as work:
        members.disable_member(work, member)
    assert isinstance(runtime.authenticate(secret), Anonymous)
    with pytest.raises(Conflict):
        issue(runtime, member)
    with runtime.agency_work("test") as work:
        members.enable_member(work, member)
    assert isinstance(runtime.authenticate(secret), Principal)


def test_a_changed_role_shows_on_open_sockets(runtime: Fairlead, agency: Any, admin: int) -> None:
    with runtime.agency_work("test") as work:
        member = members.add_member(work, agency.id, "Li", "li@example.com", role="operator", client_id=agency.acme).id
    found = principal(runtime, issue(runtime, member).secret)
    assert runtime.still_valid(found)
    with runtime.agency_work("test") as work:
        members.set_role(work, member, "analyst", agency.acme)
        now = tokens.reload(work.session, found, work.now)
    assert not runtime.still_valid(found)
    assert isinstance(now, Principal)
    assert now.at == {agency.acme: ROLES["analyst"]}


def test_rotation_keeps_the_scope_and_ends_the_old_one(
    runtime: Fairlead, admin: int, agency: Any, clock: FakeClock
) -> None:
    old = issue(runtime, admin, client_ids=[agency.acme], permissions=["jobs:read"], days=30)
    with runtime.agency_work("test") as work:
        new = tokens.rotate_token(work, old.token.id)
    assert isinstance(runtime.authenticate(old.secret), Anonymous)
    found = principal(runtime, new.secret)
    assert found.only_clients == frozenset({agency.acme})
    assert found.everywhere == frozenset({"jobs:read"})
    clock.advance(days=29)
    with runtime.agency_work("test") as work:
        newest = tokens.rotate_token(work, new.token.id, grace_minutes=10)
        with pytest.raises(Conflict, match="rotated before"):
            tokens.rotate_token(work, new.token.id)
    assert isinstance(runtime.authenticate(new.secret), Principal)
    clock.advance(minutes=10)
    assert isinstance(runtime.authenticate(new.secret), Anonymous)
    assert isinstance(runtime.authenticate(newest.secret), Principal)


def test_a_token_cannot_make_a_stronger_one(runtime: Fairlead, admin: int, agency: Any) -> None:
    narrow = principal(runtime, issue(runtime, admin, permissions=["tokens:write", "jobs:read"]).secret)
    wide = issue(runtime, admin)
    with runtime.agency_work("test", narrow) as work:
        with pytest.raises(Forbidden):
            tokens.issue_token(work, admin, "wide")
        with pytest.raises(Forbidden):
            tokens.rotate_token(work, wide.token.id)
        with pytest.raises(Forbidden):
            tokens.revoke_token(work, wide.token.id)
        issued = tokens.issue_token(work, admin, "same", permissions=["jobs:read"])
    assert principal(runtime, issued.secret).everywhere == {"jobs:read"}
    local = principal(runtime, issue(runtime, admin, client_ids=[agency.acme]).secret)
    with runtime.agency_work("test", local) as work, pytest.raises(Forbidden):
        tokens.issue_token(work, admin, "wide")


def test_anybody_may_rotate_or_revoke_their_own(runtime: Fairlead, agency: Any, admin: int) -> None:
    with runtime.agency_work("test") as work:
        member = members.add_member(work, agency.id, "Li", "li@example.com", role="analyst", client_id=agency.acme).id
    own, other = issue(runtime, member), issue(runtime, member)
    found = principal(runtime, own.secret)
    with runtime.agency_work("test", found) as work:
        with pytest.raises(Forbidden):
            tokens.revoke_token(work, other.token.id)
        new = tokens.rotate_token(work, own.token.id)
    found = principal(runtime, new.secret)
    with runtime.agency_work("test", found) as work:
        tokens.revoke_token(work, new.token.id)
    assert isinstance(runtime.authenticate(new.secret), Anonymous)


def test_a_token_that_may_not_issue_tokens_cannot_prolong_its_life(
    runtime: Fairlead, agency: Any, admin: int, clock: FakeClock
) -> None:
    with runtime.agency_work("test") as work:
        member = members.add_member(work, agency.id, "Li", "li@example.com", role="analyst", client_id=agency.acme).id
    own = issue(runtime, member, days=30)
    ends = own.token.expires_at
    for _ in range(3):
        clock.advance(days=9)
        with runtime.agency_work("test", principal(runtime, own.secret)) as work:
            with pytest.raises(Forbidden, match="live longer"):
                tokens.rotate_token(work, own.token.id, days=30)
            own = tokens.rotate_token(work, own.token.id)
        assert own.token.expires_at == ends
    with runtime.agency_work("test", principal(runtime, own.secret)) as work:
        own = tokens.rotate_token(work, own.token.id, days=2)
    assert own.token.expires_at == clock() + dt.timedelta(days=2)
    clock.advance(days=2)
    assert isinstance(runtime.authenticate(own.secret), Anonymous)
    with_right = issue(runtime, admin, days=30)
    clock.advance(days=9)
    with runtime.agency_work("test", principal(runtime, with_right.secret)) as work:
        renewed = tokens.rotate_token(work, with_right.token.id)
    assert renewed.token.expires_at == clock() + dt.timedelta(days=30)


@pytest.mark.parametrize("days", [0, -1, 401, 2**31 - 1, -(2**31)])
def test_a_rotation_for_an_impossible_time_is_bad_input(runtime: Fairlead, admin: int, days: int) -> None:
    own = issue(runtime, admin)
    with runtime.agency_work("test") as work, pytest.raises(InvalidInput):
        tokens.rotate_token(work, own.token.id, days=days)


def test_revoking_ends_one_token_and_shows_what_it_was_rotated_to(runtime: Fairlead, admin: int) -> None:
    old = issue(runtime, admin)
    with runtime.agency_work("test") as work:
        new = tokens.rotate_token(work, old.token.id, grace_minutes=60)
        revoked = tokens.revoke_token(work, old.token.id)
        assert revoked.replaced_by == new.token.id
    assert isinstance(runtime.authenticate(old.secret), Anonymous)
    assert isinstance(runtime.authenticate(new.secret), Principal)


def test_unknown_scopes_are_refused(runtime: Fairlead, admin: int, agency: Any) -> None:
    for scope in ({"client_ids": [1]}, {"client_ids": []}, {"permissions": ["no:such"]}, {"permissions": []}):
        with pytest.raises(InvalidInput):
            issue(runtime, admin, **scope)


def test_a_permission_that_was_taken_away_is_not_borrowed(runtime: Fairlead, agency: Any, admin: int) -> None:
    with runtime.agency_work("test") as work:
        member = members.add_member(work, agency.id, "Li", "li@example.com", role="analyst").id
    found = principal(runtime, issue(runtime, member, permissions=sorted(PERMISSIONS)).secret)
    assert found.everywhere == ROLES["analyst"]
    assert found.everywhere >= READS


def test_the_last_use_is_noted_once_a_minute(runtime: Fairlead, admin: int, clock: FakeClock) -> None:
    issued = issue(runtime, admin)
    with runtime.agency_work("test") as work:
        assert tokens.touch(work.session, issued.token.id, clock())
        assert not tokens.touch(work.session, issued.token.id, clock.advance(seconds=59))
        assert tokens.touch(work.session, issued.token.id, clock.advance(seconds=1))


def test_asking_notes_the_use(build_runtime: Any, admin: int, runtime: Fairlead) -> None:
    issued = issue(runtime, admin)
    other = build_runtime()
    other.authenticate(issued.secret)
    other.close()
    with runtime.agency_reading("test") as work:
        row = work.session.get(ApiToken, issued.token.id)
        assert row is not None
        assert row.last_used_at is not None


def test_lists_leave_ended_ones_out(runtime: Fairlead, admin: int, agency: Any) -> None:
    kept, gone = issue(runtime, admin), issue(runtime, admin)
    with runtime.agency_work("test") as work:
        tokens.revoke_token(work, gone.token.id)
        assert [token.id for token in tokens.list_tokens(work, agency.id)] == [kept.token.id]
        assert len(tokens.list_tokens(work, agency.id, ended=True, member_id=admin)) == 2
