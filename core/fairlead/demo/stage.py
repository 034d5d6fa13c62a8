"""What the two demonstrations share: a fresh database, progress bars, the engine's runs, counts for the result."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fairlead.audiences.segments import create_segment, refresh_segment
from fairlead.channels.service import connect_account
from fairlead.clients.members import add_member
from fairlead.clients.model import Agency
from fairlead.clients.plugin_sets import set_plugin
from fairlead.clients.service import create_client
from fairlead.clients.tokens import issue_token
from fairlead.customers.imports import ImportSummary, import_file, parse_mapping
from fairlead.customers.model import Profile
from fairlead.demo.clock import DemoClock
from fairlead.engine.port import Engine, State
from fairlead.errors import Conflict
from fairlead.facts.model import Event, Order, Touch
from fairlead.insights.service import ask, attribute, credits_of, read_paths
from fairlead.journeys.service import activate_journey, create_journey, node_counts
from fairlead.journeys.workflows import ADVANCE
from fairlead.messaging.service import count_by_state
from fairlead.messaging.workflows import DISPATCH, due_accounts
from fairlead.plugins.manager import Plugins
from fairlead.runtime import Fairlead
from fairlead.settings import Settings
from fairlead.storage import migrate
from fairlead.storage.database import Database
from fairlead.storage.scope import AgencyScope

MARK = sa.Table("fairlead_demo", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
"""Marks a database as made by a demonstration; nobody else makes this table, and migrations leave it alone."""
FACTS = {"events": Event, "orders": Order, "touches": Touch}


def fresh_database(settings: Settings) -> None:
    """Migrate; a database that holds nothing but an earlier demonstration is emptied first, any other is left alone.

    Raises :class:`Conflict` for a database that holds an agency and that no demonstration made.
    """
    settings.prepare()
    settings.vault()
    database = Database(settings.database_url)
    try:
        slugs, ours = _agencies(database), _has_table(database, MARK.name)
        if slugs and not (ours and slugs == ["demo"]):
            raise Conflict("this database is in use", next_step="give the demonstration a database of its own")
        if slugs:
            migrate.downgrade(database)
        migrate.upgrade(database, Plugins.discover(policy=settings.plugin_policy).migrations())
        if not ours:
            with database.owner() as connection:
                MARK.create(connection)
    finally:
        database.dispose()


def _agencies(database: Database) -> list[str]:
    if not _has_table(database, Agency.__tablename__):
        return []
    with database.read(AgencyScope("demo")) as session:
        return list(session.scalars(sa.select(Agency.slug)))


def _has_table(database: Database, name: str) -> bool:
    return sa.inspect(database.engine).has_table(name)


@dataclass(slots=True)
class Stage:
    """Where a demonstration plays. All methods take the client's slug; ``helpers`` end when the demonstration does."""

    runtime: Fairlead
    engine: Engine
    clock: DemoClock
    console: Console
    folder: Path
    agency_id: int
    helpers: ExitStack

    def add_client(self, slug: str, name: str, plugins: Sequence[str], *, zone: str, currency: str) -> None:
        """A client with its own set of plugins."""
        with self.runtime.agency_work("demo") as work:
            client = create_client(work, self.agency_id, slug, name, zone=zone, currency=currency)
        with self.runtime.work(client.id) as work:
            for plugin in plugins:
                set_plugin(work, self.runtime.plugins, plugin, True)

    def admin_token(self) -> str:
        """An admin of the agency, and a token for the person at the keyboard."""
        with self.runtime.agency_work("demo") as work:
            member = add_member(work, self.agency_id, "Demo admin", "admin@demo.example", role="admin")
            return issue_token(work, member.id, "demo", days=1).secret

    def bring_in(self, client: str, path: Path, mapping: Mapping[str, Any]) -> ImportSummary:
        """Import a file with a progress bar."""
        columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as bars:
            bar = bars.add_task(path.name, total=None)
            return import_file(
                self.runtime,
                client,
                path,
                parse_mapping(mapping),
                lambda done, total: bars.update(bar, completed=done, total=total),
            )

    def connect(self, client: str, channel: str, name: str, settings: Mapping[str, Any], **more: str) -> None:
        """Connect an account of a channel."""
        with self.runtime.work(client) as work:
            connect_account(work, channel, name, settings, permission_level="write", **more)  # type: ignore[arg-type]

    def segment(self, client: str, name: str, title: str, rule: Mapping[str, Any]) -> int:
        """Make a segment, fill it, and say how many people are in it."""
        with self.runtime.work(client) as work:
            return refresh_segment(work, create_segment(work, name, title, rule).id).head_count

    def journey(self, client: str, name: str, title: str, graph: Mapping[str, Any]) -> int:
        """Draw a journey and activate it."""
        with self.runtime.work(client) as work:
            journey = create_journey(work, name, title, graph)
            activate_journey(work, journey.id)
            return journey.current_version_id or 0

    def run_engine(self, client: str) -> None:
        """Let the engine move the client's people and send what became due, until nothing is left for this instant."""
        client_id = self.runtime.client(client).id
        self._finish([self.engine.enqueue(ADVANCE, {"client_id": client_id}, key=f"{ADVANCE}/{client_id}")])
        accounts = due_accounts(self.runtime, client_id)
        self._finish(
            [
                self.engine.enqueue(
                    DISPATCH,
                    {"client_id": client_id, "account_id": account_id},
                    key=f"{DISPATCH}/{account_id}",
                    queue="accounts",
                    partition=str(account_id),
                )
                for account_id in accounts
            ]
        )

    def _finish(self, runs: Sequence[str]) -> None:
        for run_id in runs:
            while True:
                run = self.engine.status(run_id)
                if run is None or run.state is State.SUCCEEDED:
                    break
                if run.state in (State.FAILED, State.CANCELLED):
                    raise Conflict(f"background work {run.name} {run.state}: {run.error}")
                time.sleep(0.02)

    def live(self, client: str, hours: int, step: int = 1) -> None:
        """Move the clock on hour by hour and let the engine work at each."""
        self.run_engine(client)
        for _ in range(0, hours, step):
            self.clock.move(hours=step)
            self.run_engine(client)

    # -- what happened ----------------------------------------------------------------------------------------------

    def counts(self, client: str) -> dict[str, int]:
        """Active profiles and facts of a client."""
        with self.runtime.reading(client) as work:
            found = {"profiles": work.session.scalar(sa.select(sa.func.count()).where(Profile.state == "active")) or 0}
            for name, entity in FACTS.items():
                found[name] = work.session.scalar(sa.select(sa.func.count()).select_from(entity)) or 0
        return found

    def order_totals(self, client: str) -> dict[str, Any]:
        """Paid orders and amounts in major units."""
        with self.runtime.reading(client) as work:
            paid, amount, refunds = work.session.execute(
                sa.select(
                    sa.func.count(Order.paid_at), sa.func.sum(Order.paid_amount), sa.func.sum(Order.refund_amount)
                )
            ).one()
        return {"paid": paid, "paid_amount": int(amount or 0) / 100, "refund_amount": int(refunds or 0) / 100}

    def messages(self, client: str) -> dict[str, Any]:
        """Messages sent, and refused by reason."""
        with self.runtime.reading(client) as work:
            rows = count_by_state(work)
        refused: dict[str, int] = {}
        other: dict[str, int] = {}
        sent = 0
        for _, state, reason, count in rows:
            if state == "sent":
                sent += count
            elif state == "refused":
                refused[reason] = refused.get(reason, 0) + count
            else:
                other[state] = other.get(state, 0) + count
        return {"messages_sent": sent, "messages_refused": refused, "messages_other": other}

    def journey_counts(self, client: str, version_id: int) -> dict[str, int]:
        """People by state, and how many reached the goal."""
        with self.runtime.reading(client) as work:
            rows = node_counts(work, version_id)
        out = {"enrolled": sum(row[2] for row in rows), "goal_reached": sum(row[3] for row in rows)}
        for _, state, people, _ in rows:
            out[state] = out.get(state, 0) + people
        return out

    def credits(
        self, client: str, question: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Let every model answer one question: credits by channel, sums, and what the answer counted and left out."""
        asked = ask(question)
        with self.runtime.reading(client) as work:
            paths = read_paths(work, asked)
        out: dict[str, Any] = {"credits": {}, "credited_value": {}}
        for name, settings in models.items():
            with self.runtime.work(client) as work:
                run = attribute(work, name, settings, asked, paths)
                found = credits_of(work, run.id)
                out["credits"][name] = {row.channel: row.conversions for row in found}
                out["credited_value"][name] = {row.channel: row.value / 100 for row in found}
                out["paths"] = run.summary
                out["conversions"] = run.summary["conversions"]
        return out
