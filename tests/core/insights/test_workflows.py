"""Attribution in the background: saved settings, strangers' models, and workers that are killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

import fairlead_position
from fairlead.clients.plugin_sets import set_plugin, set_settings
from fairlead.customers.linking import ClaimColumn
from fairlead.facts.ingest import EventColumns, TouchColumns, take_events, take_touches
from fairlead.governance import jobs
from fairlead.insights import workflows
from fairlead.insights.model import AttributionCredit, AttributionRun
from fairlead.insights.paths import Paths
from fairlead.plugins import Kind, Manifest, NoSettings, Title, hookimpl
from fairlead.plugins.contracts.attribution import Credits
from fairlead.runtime import Fairlead

START = 1_700_000_000_000
MINUTE = 60_000


class Stranger:
    """A model that answers what a test tells it to."""

    manifest = Manifest(
        name="stranger",
        kind=Kind.ATTRIBUTION_MODEL,
        version="1",
        title=Title("陌生", "Stranger"),
        description=Title("陌生", "Stranger"),
        settings=NoSettings,
    )

    def __init__(self) -> None:
        self.give: Callable[[Paths], Any] = lambda paths: None

    def credit(self, paths: Paths, settings: NoSettings) -> Any:
        return self.give(paths)


class StrangerPlugin:
    name = "stranger"

    def __init__(self) -> None:
        self.model = Stranger()

    @hookimpl
    def fairlead_register_attribution_models(self, register: Callable[[Any], None]) -> None:
        register(self.model)


@pytest.fixture
def stranger() -> StrangerPlugin:
    return StrangerPlugin()


@pytest.fixture
def runtime(build_runtime: Callable[..., Fairlead], stranger: StrangerPlugin) -> Fairlead:
    return build_runtime(fairlead_position, stranger, cache_seconds=0)


@pytest.fixture
def acme(runtime: Fairlead, agency: Any) -> int:
    """A client where ann met four channels and signed up."""
    client: int = agency.acme
    with runtime.work(client) as work:
        for name in runtime.plugins.names:
            set_plugin(work, runtime.plugins, name, True)
        channels, at = ["a", "b", "c", "d"], [START + step * MINUTE for step in range(4)]
        ann = ClaimColumn("member", ["ann"] * 4)
        take_touches(work, "log", TouchColumns(channels, ["click"] * 4, channels, at, [ann]))
        signed = ClaimColumn("member", ["ann"])
        take_events(work, "app", EventColumns(["s"], ["signup"], ["app"], [at[-1]], [signed], amounts=[100]))
    return client


def queue(runtime: Fairlead, client: int, *models: tuple[str, Any]) -> int:
    return runtime.run(client, lambda work: workflows.queue_attribution(work, {"conversion": "signup"}, models).id)


def run(runtime: Fairlead, client: int, job: int) -> Any:
    return workflows.run_attribution(runtime, {"client_id": client, "job_id": job})


def kept(runtime: Fairlead, client: int) -> list[dict[str, float]]:
    """The credits by channel of each run."""
    with runtime.reading(client) as work:
        runs = work.session.scalars(sa.select(AttributionRun.id).order_by(AttributionRun.id)).all()
        credit = sa.select(AttributionCredit.channel, AttributionCredit.conversions)
        return [
            {
                row.channel: row.conversions
                for row in work.session.execute(credit.where(AttributionCredit.run_id == one))
            }
            for one in runs
        ]


def evenly(paths: Paths) -> Credits:
    share = np.full(len(paths.names), 1 / len(paths.names))
    return Credits(share * paths.converted.sum(), share * paths.value.sum(), {})


def test_a_model_begins_from_the_settings_saved_for_the_client(runtime: Fairlead, acme: int) -> None:
    saved = {"shape": "custom", "first": 0.0, "middle": 0.0, "last": 1.0, "others": 0.0}
    job = queue(runtime, acme, ("position", None), ("position", {"shape": "u"}))
    with runtime.work(acme) as work:
        set_settings(work, Kind.ATTRIBUTION_MODEL, "position", saved)
        assert jobs.get_job(work, job).payload["models"][0] == {"name": "position", "settings": None}

    run(runtime, acme, job)

    by_form, by_request = kept(runtime, acme)
    assert by_form == {"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.0}
    assert by_request["a"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    "give",
    [
        lambda paths: None,
        lambda paths: Credits(np.ones(2), np.ones(2), {}),
        lambda paths: Credits(evenly(paths).conversions * np.nan, evenly(paths).value, {}),
        lambda paths: Credits(evenly(paths).conversions * 2, evenly(paths).value, {}),
        lambda paths: Credits(evenly(paths).conversions, evenly(paths).value * 0, {}),
        lambda paths: Credits(evenly(paths).conversions, evenly(paths).value, {"more": np.zeros(1)}),
        lambda paths: Credits(np.array([3.0, -2.0, 0, 0, 0]), evenly(paths).value, {}),
    ],
    ids=["nothing", "shape", "nan", "doubled", "no value", "detail", "negative"],
)
def test_what_a_model_answers_is_checked_before_it_is_kept(
    runtime: Fairlead, acme: int, stranger: StrangerPlugin, give: Callable[[Paths], Any]
) -> None:
    stranger.model.give = give
    job = queue(runtime, acme, ("position", {}), ("stranger", {}))

    with pytest.raises(Exception, match="the attribution model 'stranger'"):
        run(runtime, acme, job)

    with runtime.reading(acme) as work:
        row = jobs.get_job(work, job)
    assert row.state == "failed"
    assert "the attribution model 'stranger'" in row.message
    assert kept(runtime, acme) == []


def test_a_worker_killed_after_the_answers_leaves_none_or_all(
    runtime: Fairlead, acme: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue(runtime, acme, ("position", {}))
    ends = jobs.finish_job

    def killed(*_: Any) -> bool:
        raise SystemExit

    monkeypatch.setattr(jobs, "finish_job", killed)
    with pytest.raises(SystemExit):
        run(runtime, acme, job)
    monkeypatch.setattr(jobs, "finish_job", ends)

    done = run(runtime, acme, job)

    assert len(kept(runtime, acme)) == len(done["runs"]) == 1
    assert run(runtime, acme, job) is None
    assert len(kept(runtime, acme)) == 1


def test_nothing_is_kept_of_a_job_that_was_cancelled_while_a_model_worked(
    runtime: Fairlead, acme: int, stranger: StrangerPlugin
) -> None:
    job = queue(runtime, acme, ("position", {}), ("stranger", {}))

    def cancel(paths: Paths) -> Credits:
        runtime.run(acme, lambda work: jobs.cancel_job(work, job))
        return evenly(paths)

    stranger.model.give = cancel

    assert run(runtime, acme, job) is None
    assert kept(runtime, acme) == []
