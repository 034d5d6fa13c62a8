"""Checking whether an account works now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.channels.connection import OpenAccount, call_channel, note_error, note_health, rest, stranger
from fairlead.channels.model import ChannelAccount
from fairlead.channels.service import get_account
from fairlead.errors import DomainError
from fairlead.plugins.contracts.channel import Health, HealthState
from fairlead.plugins.errors import FixSettings, PluginError
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead


def check_account(runtime: Fairlead, client_id: int, account_id: int) -> ChannelAccount:
    """Call the channel's check, outside a transaction, and write what it says; returns the account, detached.

    ``ok`` makes a failed account connected again. ``RetryLater`` means degraded; every other rung means that the
    account has failed, with ``last_error`` saying why. Raises ``NotFound`` and ``PluginOff`` only.
    """
    with runtime.reading(client_id) as work:
        channel = get_account(work, account_id).channel
        work.plugins.channel(channel)

    def check(opened: OpenAccount) -> Health:
        return opened.channel.check(opened.context)

    try:
        health = call_channel(runtime, client_id, account_id, "check", check)
    except PluginError as error:
        failure = error
    except DomainError as error:
        failure = FixSettings(error.message)
    except Exception as error:  # noqa: BLE001 -- a stranger's code
        failure = stranger(error, channel)
    else:
        return runtime.run(client_id, lambda work: _note(work, account_id, health))
    return runtime.run(client_id, lambda work: _blame(work, account_id, failure))


def _blame(work: Work, account_id: int, failure: PluginError) -> ChannelAccount:
    account = note_error(work, account_id, failure)
    rest(work, account_id, failure)
    return account


def _note(work: Work, account_id: int, health: Health) -> ChannelAccount:
    state = "connected" if health.state is HealthState.OK else None
    return note_health(work, account_id, health.state.value, state=state, detail=health.detail)
