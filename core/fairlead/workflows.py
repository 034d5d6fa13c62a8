"""What the background engine runs, put together in one place.

A domain offers a function ``register(runtime, engine)`` in its module ``workflows``; those of accounts and housekeeping
stand here. Payloads hold ids only.
"""

from __future__ import annotations

import datetime as dt
import importlib
import importlib.util
import time
from typing import TYPE_CHECKING, Any, cast

import structlog

from fairlead.channels.checks import check_account
from fairlead.channels.connection import is_resting
from fairlead.channels.service import get_account
from fairlead.channels.sync import Sink, sync_account
from fairlead.channels.webhooks import forget_deliveries
from fairlead.engine.port import DEFAULT_RETRY, Engine, EngineError, Function, Retry
from fairlead.governance.idempotency import forget_expired
from fairlead.governance.jobs import Progress, count_done, forgotten_jobs, link_run, run_job
from fairlead.messaging.receipts import forget_loose
from fairlead.plugins.manifest import Capability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fairlead.channels.model import ChannelAccount
    from fairlead.plugins.contracts.channel import OrderRecord
    from fairlead.runtime import Fairlead
    from fairlead.work import Work

log = structlog.get_logger("fairlead.workflows")

CHECK = "channels.check"
SYNC = "channels.sync"
SYNC_JOB = "channels.sync_job"
CHECK_ALL = "channels.check_all"
SYNC_ALL = "channels.sync_all"
HOUSEKEEPING = "governance.housekeeping"
FORGOTTEN = "governance.forgotten_jobs"
ACCOUNTS = "accounts"

OTHERS = (
    "fairlead.audiences.workflows",
    "fairlead.insights.workflows",
    "fairlead.journeys.workflows",
    "fairlead.messaging.workflows",
    "fairlead.notices.workflows",
)
PAGE = 100
HANDED_OVER_WITHIN = dt.timedelta(minutes=1)


def build_engine(runtime: Fairlead, *, work: bool = True) -> Engine:
    """The engine that the settings name, with every workflow registered, not started.

    ``work=False`` gives one that only enqueues and asks, for processes beside the workers.
    """
    from fairlead.engine.dbos_engine import DbosEngine
    from fairlead.engine.dbos_setup import system_url

    settings = runtime.settings
    engine = DbosEngine(
        runtime.database.engine,
        settings.engine_url or system_url(settings.database_url),
        executor_id=settings.executor_id,
        work=work,
    )
    register_all(runtime, engine)
    return engine


def counted(runtime: Fairlead, name: str, function: Function) -> Function:
    """``function`` with its runs counted, timed and traced under ``name``."""

    def run(payload: dict[str, Any]) -> Any:
        metrics, begun = runtime.metrics, time.perf_counter()
        try:
            with runtime.tracing.span(f"engine.{name}"):
                result = function(payload)
        except BaseException:
            metrics.engine_runs.labels(name, "failed").inc()
            raise
        finally:
            metrics.engine_seconds.labels(name).observe(time.perf_counter() - begun)
        metrics.engine_runs.labels(name, "ok").inc()
        return result

    return run


class _Counting:
    """An engine whose registered functions are :func:`counted`; everything else is the engine's own."""

    def __init__(self, runtime: Fairlead, engine: Engine) -> None:
        self._runtime = runtime
        self._engine = engine

    def register(self, name: str, function: Function, retry: Retry = DEFAULT_RETRY) -> None:
        self._engine.register(name, counted(self._runtime, name, function), retry)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def register_all(runtime: Fairlead, engine: Engine) -> None:
    """Register and schedule the workflows of all domains on ``engine``, before it starts."""
    engine = cast("Engine", _Counting(runtime, engine))
    engine.register(CHECK, lambda payload: _check(runtime, payload), Retry(attempts=1))
    engine.register(SYNC, lambda payload: _sync(runtime, payload), Retry(attempts=4, first=5.0, longest=60.0))
    engine.register(SYNC_JOB, lambda payload: _sync_job(runtime, payload), Retry(attempts=1))
    engine.register(CHECK_ALL, lambda _: _for_accounts(runtime, engine, CHECK, None), Retry(attempts=2))
    engine.register(SYNC_ALL, lambda _: _for_accounts(runtime, engine, SYNC, Capability.ORDERS), Retry(attempts=2))
    engine.register(HOUSEKEEPING, lambda _: _keep_house(runtime), Retry(attempts=2))
    engine.register(FORGOTTEN, lambda _: hand_over_forgotten(runtime, engine), Retry(attempts=2))
    engine.schedule(CHECK_ALL, "7,37 * * * *")
    engine.schedule(SYNC_ALL, "*/15 * * * *")
    engine.schedule(HOUSEKEEPING, "23 * * * *")
    engine.schedule(FORGOTTEN, "* * * * *")
    for name in OTHERS:
        if importlib.util.find_spec(name) is not None:
            module: Any = importlib.import_module(name)
            module.register(runtime, engine)


def order_sink() -> Sink:
    """The function that stores the orders of a platform as facts."""
    ingest: Any = importlib.import_module("fairlead.facts.ingest")

    def store(work: Work, account: ChannelAccount, records: Sequence[OrderRecord]) -> object:
        return ingest.take_order_records(work, account.channel, records)

    return store


def _check(runtime: Fairlead, payload: dict[str, Any]) -> dict[str, Any]:
    if _rests(runtime, payload):
        return {"resting": True}
    account = check_account(runtime, payload["client_id"], payload["account_id"])
    return {"health": account.health, "state": account.state}


def _sync(runtime: Fairlead, payload: dict[str, Any]) -> dict[str, Any]:
    # The engine's next attempt comes within a minute, whatever the platform asked for; so it ends here.
    if _rests(runtime, payload):
        return {"resting": True}
    report = sync_account(runtime, payload["client_id"], payload["account_id"], None, order_sink())
    return {"records": report.records, "pages": report.pages}


def _rests(runtime: Fairlead, payload: dict[str, Any]) -> bool:
    with runtime.reading(payload["client_id"]) as work:
        return is_resting(get_account(work, payload["account_id"]), work.now)


def _sync_job(runtime: Fairlead, payload: dict[str, Any]) -> dict[str, Any]:
    """One sync that somebody asked for: its job counts the orders as they are stored. A failure ends the job."""
    client_id, job_id, sink = payload["client_id"], payload["job_id"], order_sink()

    def counted(work: Work, account: ChannelAccount, records: Sequence[OrderRecord]) -> object:
        count_done(work, job_id, len(records))
        return sink(work, account, records)

    def sync(progress: Progress) -> dict[str, Any]:
        report = sync_account(runtime, client_id, payload["account_id"], None, counted)
        progress.done = report.records
        return {"records": report.records, "pages": report.pages, "windows": report.windows}

    return dict(run_job(runtime, client_id, job_id, sync) or {})


def _for_accounts(runtime: Fairlead, engine: Engine, name: str, capability: Capability | None) -> int:
    """Enqueue one run per usable account; the key keeps a slow one from piling up."""
    from fairlead.channels.service import list_accounts
    from fairlead.clients.service import list_clients

    count, slug = 0, ""
    while True:
        with runtime.agency_reading("find accounts") as work:
            clients = list_clients(work, first=PAGE, after_slug=slug)
        for client in clients:
            after = 0
            while True:
                with runtime.reading(client.id) as work:
                    accounts = list_accounts(work, first=PAGE, after_id=after)
                    channels = work.plugins.channels
                for account in accounts:
                    entry = channels.get(account.channel)
                    if entry is None or account.state not in ("connected", "failed"):
                        continue
                    if capability is not None and capability not in entry.manifest.capabilities:
                        continue
                    payload = {"client_id": client.id, "account_id": account.id}
                    engine.enqueue(name, payload, key=f"{name}/{account.id}", queue=ACCOUNTS, partition=str(account.id))
                    count += 1
                if len(accounts) < PAGE:
                    break
                after = accounts[-1].id
        if len(clients) < PAGE:
            return count
        slug = clients[-1].slug


def enqueue_job(engine: Engine, client_id: int, job_id: int, kind: str, about: Mapping[str, Any]) -> str:
    """Hand a queued job to the engine and return the run; its kind is the name of its workflow.

    ``about`` is the payload of the job's row. While the run is unfinished, the same job again gives the same run.
    """
    payload = {"client_id": client_id, "job_id": job_id}
    key = f"{kind}/{job_id}"
    if kind != SYNC_JOB:
        return engine.enqueue(kind, payload, key=key)
    payload["account_id"] = int(about["account_id"])
    return engine.enqueue(kind, payload, key=key, queue=ACCOUNTS, partition=str(payload["account_id"]))


def hand_over_forgotten(runtime: Fairlead, engine: Engine) -> int:
    """Enqueue the jobs that were committed but never handed over, since their process died between the two."""
    count, after_id = 0, 0
    while True:
        with runtime.agency_reading("find forgotten jobs") as work:
            found = forgotten_jobs(work, work.now - HANDED_OVER_WITHIN, first=PAGE, after_id=after_id)
        count += sum(_hand_over(runtime, engine, *job) for job in found)
        if len(found) < PAGE:
            return count
        after_id = found[-1][1]


def _hand_over(
    runtime: Fairlead, engine: Engine, client_id: int, job_id: int, kind: str, about: dict[str, Any]
) -> bool:
    try:
        run_id = enqueue_job(engine, client_id, job_id, kind, about)
    except EngineError as error:
        # A kind that this version does not know must not hold up the others.
        log.warning("a forgotten job was not handed over", kind=kind, job=job_id, type=type(error).__name__)
        return False
    runtime.run(client_id, lambda work: link_run(work, job_id, run_id))
    return True


def _keep_house(runtime: Fairlead) -> dict[str, Any]:
    def clean(work: Work) -> dict[str, Any]:
        return {
            "idempotency_records": forget_expired(work.session, work.now),
            "webhook_deliveries": forget_deliveries(work),
            "loose_receipts": forget_loose(work),
        }

    return runtime.run_agency("housekeeping", clean)


__all__ = ["ACCOUNTS", "CHECK", "SYNC", "SYNC_JOB", "build_engine", "order_sink", "register_all"]
