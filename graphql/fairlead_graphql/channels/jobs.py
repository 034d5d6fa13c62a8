"""Starting a sync: a job row first, then the engine; without an engine nothing is begun and nothing pretended."""

from __future__ import annotations

from typing import Any

from fairlead.channels.service import get_account
from fairlead.engine.port import Engine, EngineError
from fairlead.errors import Conflict, Unavailable
from fairlead.governance.jobs import create_job, fail_job, get_job, link_run
from fairlead.plugins.manifest import Capability
from fairlead.work import Work
from fairlead.workflows import SYNC_JOB, enqueue_job
from fairlead_graphql.context import Context
from fairlead_graphql.mutation import Answer, only_once


def start_sync(context: Context, client_id: int, account_id: int, given: Any) -> Answer:
    """Make the job and hand it to the engine. The same idempotency key gives the same job, handed over only once.

    Raises ``Unavailable`` without a working engine, ``Conflict`` for an account that cannot be synced.
    """
    runtime = context.runtime
    engine = runtime.engine
    if engine is None:
        raise Unavailable("background work is off on this server", next_step="ask the operator to switch the engine on")

    def make(work: Work) -> Answer:
        account = get_account(work, account_id)
        if account.state not in ("connected", "failed"):
            raise Conflict(f"the account is {account.state}", next_step="resume the account first")
        if Capability.ORDERS not in work.plugins.channel(account.channel).manifest.capabilities:
            raise Conflict(f"the channel {account.channel!r} has no orders to fetch")
        return {"job": create_job(work, SYNC_JOB, {"account_id": account.id, "account": account.name}).id}

    answer = runtime.run(
        client_id,
        lambda work: only_once(work, "syncChannelAccount", given, lambda: make(work)),
        actor=context.member,
        request_id=context.request_id,
    )
    _hand_over(context, engine, client_id, account_id, answer["job"])
    return answer


def _hand_over(context: Context, engine: Engine, client_id: int, account_id: int, job_id: int) -> None:
    runtime = context.runtime
    with runtime.reading(client_id) as work:
        if get_job(work, job_id).state != "queued":
            return
    try:
        run_id = enqueue_job(engine, client_id, job_id, SYNC_JOB, {"account_id": account_id})
    except EngineError:
        runtime.run(client_id, lambda work: fail_job(work, job_id, "background work is off on this server"))
        raise Unavailable("background work is off on this server", next_step="try again in a moment") from None
    runtime.run(client_id, lambda work: link_run(work, job_id, run_id))
