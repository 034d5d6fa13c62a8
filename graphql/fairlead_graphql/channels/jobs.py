"""Asking a platform. A check is made at once, outside any transaction. A sync is a job row first, then the engine's.

Without an engine no sync is begun and none pretended.
"""

from __future__ import annotations

from typing import Any

from fairlead.channels.checks import check_account
from fairlead.channels.service import get_account
from fairlead.errors import Conflict, Unavailable
from fairlead.governance.audit import record
from fairlead.governance.jobs import create_job
from fairlead.plugins.manifest import Capability
from fairlead.work import Work
from fairlead.workflows import SYNC_JOB
from fairlead_graphql.background import hand_over
from fairlead_graphql.context import Context
from fairlead_graphql.mutation import Answer, only_once


def start_sync(context: Context, client_id: int, account_id: int, given: Any) -> Answer:
    """Make the job and hand it to the engine. The same idempotency key gives the same job, handed over only once.

    Raises ``Unavailable`` without an engine, ``Conflict`` for an account that cannot be synced.
    """
    if context.runtime.engine is None:
        raise Unavailable("background work is off on this server", next_step="ask the operator to switch the engine on")

    def make(work: Work) -> Answer:
        account = get_account(work, account_id)
        if account.state not in ("connected", "failed"):
            raise Conflict(f"the account is {account.state}", next_step="resume the account first")
        if Capability.ORDERS not in work.plugins.channel(account.channel).manifest.capabilities:
            raise Conflict(f"the channel {account.channel!r} has no orders to fetch")
        job = create_job(work, SYNC_JOB, {"account_id": account.id, "account": account.name})
        record(work, "channel_account.sync_asked", "channel_account", account.id, after={"job": job.id})
        return {"job": job.id}

    answer = context.change(client_id, lambda work: only_once(work, "syncChannelAccount", given, lambda: make(work)))
    hand_over(context, client_id, answer["job"])
    return answer


def check_once(context: Context, client_id: int, account_id: int, given: Any) -> Answer:
    """Ask the platform whether the account works. The same idempotency key asks it once.

    Raises ``NotFound`` for an unknown account and ``PluginOff`` where its channel is off.
    """
    fresh = False

    def take(work: Work) -> Answer:
        nonlocal fresh
        work.plugins.channel(get_account(work, account_id).channel)
        record(work, "channel_account.check_asked", "channel_account", account_id)
        fresh = True
        return {"account": account_id}

    answer = context.change(client_id, lambda work: only_once(work, "checkChannelAccount", given, lambda: take(work)))
    if fresh:
        check_account(context.runtime, client_id, account_id)
    return answer
