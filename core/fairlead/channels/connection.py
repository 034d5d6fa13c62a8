"""Calling a channel plugin for one account: its context, its credentials, and what its errors mean for the account.

No transaction is open while a platform is called.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from fairlead.channels.model import ChannelAccount
from fairlead.channels.service import SECRETS, account_secrets, account_settings, get_account
from fairlead.engine.attempt import describe
from fairlead.governance.audit import record
from fairlead.governance.secrets import seal_object
from fairlead.observability.redact import redact_text
from fairlead.plugins.contracts.channel import Channel, ChannelContext, RefreshesCredentials
from fairlead.plugins.errors import Abort, FixCredentials, OutcomeUnknown, PluginError, RetryLater
from fairlead.plugins.events import DomainEvent, EventType
from fairlead.plugins.manifest import Capability
from fairlead.plugins.registry import Registered
from fairlead.plugins.settings_schema import patch_settings, validate_settings
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

T = TypeVar("T")

REFRESH_WAIT = 60.0
LONGEST_REST = dt.timedelta(days=1)
LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """An account that is ready to be called. ``account`` is detached: read it, never change it."""

    client_id: int
    account: ChannelAccount
    entry: Registered[Channel]
    context: ChannelContext

    @property
    def channel(self) -> Channel:
        """The plugin's channel object."""
        return self.entry.thing


def open_account(runtime: Fairlead, client_id: int, account_id: int) -> OpenAccount:
    """Read the account and build its context. Raises ``NotFound``, ``PluginOff``, or ``Refusals`` for bad settings."""
    with runtime.reading(client_id) as work:
        account = get_account(work, account_id)
        entry = work.plugins.channel(account.channel)
        settings = account_settings(work, account, entry.manifest)
    return OpenAccount(client_id, account, entry, _context(runtime, client_id, account, settings))


def call_channel(
    runtime: Fairlead, client_id: int, account_id: int, what: str, function: Callable[[OpenAccount], T]
) -> T:
    """``function(account)`` with the error ladder kept: expired credentials are refreshed once and it is called again.

    ``what`` names the call in the metrics. ``function`` may be repeated, which is safe after ``FixCredentials``: the
    platform let nothing happen. Other exceptions pass; :func:`stranger` turns a plugin's own mistakes into the ladder.
    """
    opened = open_account(runtime, client_id, account_id)
    try:
        result = _guarded(runtime, opened, what, function)
    except FixCredentials:
        if Capability.CREDENTIALS not in opened.entry.manifest.capabilities:
            raise
        result = _guarded(runtime, refresh_credentials(runtime, opened), what, function)
    return result


def refresh_credentials(runtime: Fairlead, opened: OpenAccount) -> OpenAccount:
    """Renew the account's credentials, one caller at a time; whoever waited takes what the first one got.

    Raises ``FixCredentials`` when the channel cannot refresh or the platform refuses.
    """
    if not isinstance(opened.channel, RefreshesCredentials):
        raise FixCredentials("the credentials do not work and the channel cannot renew them")
    channel = opened.channel
    with runtime.locks.hold(f"credentials/{opened.account.id}", wait=REFRESH_WAIT):
        current = open_account(runtime, opened.client_id, opened.account.id)
        if current.context.settings == opened.context.settings:
            _guarded(runtime, current, "refresh", lambda account: channel.refresh(account.context))
            current = open_account(runtime, opened.client_id, opened.account.id)
    return current


def note_health(
    work: Work, account_id: int, health: str, *, state: str | None = None, detail: str = ""
) -> ChannelAccount:
    """Write how an account is doing, with an event and an audit entry when that changes its state.

    ``state`` is ``failed`` or ``connected``; a planned, paused or disconnected account keeps its own.
    """
    account = get_account(work, account_id, for_update=True)
    detail = redact_text(detail)[:LONGEST_ERROR]
    before = {"state": account.state, "health": account.health}
    account.health, account.health_at = health, work.now
    if health == "ok":
        account.last_error, account.last_error_at, account.fetch_after = "", None, None
    elif detail:
        account.last_error, account.last_error_at = detail, work.now
    if state is not None and account.state in ("connected", "failed") and account.state != state:
        account.state, account.changed_at = state, work.now
        recovered = state == "connected"
        type_ = EventType.ACCOUNT_RECOVERED if recovered else EventType.ACCOUNT_FAILED
        action = "channel_account.recovered" if recovered else "channel_account.failed"
        after = {"state": state, "health": health, "reason": detail}
        record(work, action, "channel_account", account.id, before, after)
        work.events.append(
            DomainEvent(
                f"{type_}/{account.id}/{work.now.timestamp():.3f}",
                type_,
                work.client_id,
                work.now,
                f"channel_account:{account.id}",
                {"channel": account.channel, "account": account.name, "reason": detail},
            )
        )
    return account


def note_error(work: Work, account_id: int, error: PluginError) -> ChannelAccount:
    """What an error of the ladder means for the account: degraded when time heals it, failed when a person must act."""
    if isinstance(error, RetryLater | OutcomeUnknown):
        return note_health(work, account_id, "degraded", detail=error.message)
    return note_health(work, account_id, "down", state="failed", detail=error.message)


def rest(work: Work, account_id: int, error: PluginError) -> None:
    """Keep scheduled checks and fetches from an account for as long as the platform asks, a day at most.

    A success ends the rest; a person may go on at once.
    """
    asked = error.retry_after if isinstance(error, RetryLater) else None
    if asked is not None and asked > 0:
        account = get_account(work, account_id, for_update=True)
        account.fetch_after = work.now + min(dt.timedelta(seconds=min(asked, 1e6)), LONGEST_REST)


def is_resting(account: ChannelAccount, now: dt.datetime) -> bool:
    """Whether the schedule leaves the account alone. What ends too far away was written by a clock that was ahead."""
    return account.fetch_after is not None and now < account.fetch_after <= now + LONGEST_REST


def _guarded(runtime: Fairlead, opened: OpenAccount, what: str, function: Callable[[OpenAccount], T]) -> T:
    count = runtime.metrics.channel_calls.labels
    channel = opened.entry.name
    with runtime.tracing.span(f"channel.{what}", channel=channel, account_id=opened.account.id):
        try:
            result = function(opened)
        except PluginError as error:
            count(channel, what, error.rung).inc()
            raise
    count(channel, what, "ok").inc()
    return result


def stranger(error: Exception, channel: str) -> Abort:
    """The mistake of a plugin as an error of the ladder, without the text of a stranger's exception."""
    return Abort(f"the plugin of {channel} failed: {describe(error)}")


def _context(runtime: Fairlead, client_id: int, account: ChannelAccount, settings: Any) -> ChannelContext:
    def save(changes: Mapping[str, Any]) -> None:
        runtime.run(client_id, lambda work: _save_settings(work, account.id, changes))

    return ChannelContext(
        client=runtime.client(client_id).slug,
        account=account.name,
        settings=settings,
        http=runtime.http,
        now=runtime.clock,
        save_settings=save,
    )


def _save_settings(work: Work, account_id: int, changes: Mapping[str, Any]) -> None:
    account = get_account(work, account_id, for_update=True)
    manifest = work.plugins.channel(account.channel).manifest
    public, secrets = patch_settings(manifest.settings, account.settings, account_secrets(work, account), changes)
    validate_settings(manifest, public, secrets, path=("settings",))
    account.settings = public
    account.secrets = seal_object(work.vault, work.client_id, SECRETS, account.id, secrets)
    account.changed_at = work.now
    record(work, "channel_account.settings_saved", "channel_account", account.id, None, {"fields": sorted(changes)})
