"""Refreshing segments and scoring in the background, each as a job. Payloads hold ids; what to do stands in the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fairlead.audiences.checks import PERSONAL
from fairlead.audiences.guard import guarded
from fairlead.audiences.scores import run_scoring
from fairlead.audiences.segments import SMALL, get_segment, refresh_segment
from fairlead.clients.plugin_sets import settings_of
from fairlead.engine.port import Engine, Retry
from fairlead.errors import Conflict, Forbidden
from fairlead.governance.audit import record
from fairlead.governance.jobs import Progress, create_job, get_job, run_job
from fairlead.governance.model import Job
from fairlead.plugins.manifest import Kind
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

REFRESH = "audiences.refresh"
SCORE = "audiences.score"
ONCE = Retry(attempts=1)


def register(runtime: Fairlead, engine: Engine) -> None:
    """Make the workflows known."""
    engine.register(REFRESH, lambda payload: run_refresh(runtime, payload), ONCE)
    engine.register(SCORE, lambda payload: run_score(runtime, payload), ONCE)


def queue_refresh(work: Work, segment_id: int) -> Job:
    """A job that refreshes a segment. Raises ``NotFound``, and ``Conflict`` for an archived one."""
    segment = get_segment(work, segment_id)
    if segment.state != "active":
        raise Conflict("the segment is archived", next_step="create a new segment with its rule")
    job = create_job(work, REFRESH, {"segment": segment.id}, total=1)
    record(work, "segment.refresh", "segment", str(segment.id), after={"job": job.id})
    return job


def run_refresh(runtime: Fairlead, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Run the job ``payload["job_id"]`` of the client ``payload["client_id"]``; one that ended is passed over."""
    client_id, job_id = int(payload["client_id"]), int(payload["job_id"])

    def refresh(progress: Progress) -> dict[str, Any]:
        def once(work: Work) -> dict[str, Any]:
            done = refresh_segment(work, int(_payload(work, job_id)["segment"]))
            return {"entered": _rough(done.entered), "left": _rough(done.left)}

        found = runtime.run(client_id, once)
        progress.advance()
        return found

    return run_job(runtime, client_id, job_id, refresh)


def queue_scoring(work: Work, scheme: str, settings: Mapping[str, Any] | None) -> Job:
    """A job that scores everybody. Raises ``PluginOff`` or ``NotFound`` for the scheme, ``Refusals`` for its settings.

    Settings ``None`` are those saved for the client when the job runs; they may hold secrets, so the job does not.
    What the scheme looks at needs the same permissions as in a rule, since rules can ask for scores.
    """
    entry = work.plugins.scoring_scheme(scheme)
    checked = settings_of(work, Kind.SCORING_SCHEME, scheme, settings)
    with guarded(f"the scoring scheme {scheme!r}"):
        features = entry.thing.features(checked)
    personal = sorted(one.key for one in features if one.kind == "attribute" and one.key.casefold() in PERSONAL)
    if personal and not work.actor.may("profiles:read", work.client_id):
        raise Forbidden(
            f"scoring by {personal[0]} needs the permission profiles:read",
            path=("settings",),
            next_step="ask an admin of the agency for a role with profiles:read",
        )
    job = create_job(work, SCORE, {"scheme": scheme, "settings": settings}, total=1)
    record(work, "scoring.run", "job", str(job.id), after={"scheme": scheme})
    return job


def run_score(runtime: Fairlead, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Run the job ``payload["job_id"]`` of the client ``payload["client_id"]``; one that ended is passed over."""
    client_id, job_id = int(payload["client_id"]), int(payload["job_id"])

    def score(progress: Progress) -> dict[str, Any]:
        def write(work: Work) -> dict[str, Any]:
            asked = _payload(work, job_id)
            done = run_scoring(work, asked["scheme"], asked["settings"])
            return {"profiles": done.profiles, "least": done.least, "mean": done.mean, "most": done.most}

        return progress.conclude(write, done=1)

    return run_job(runtime, client_id, job_id, score)


def _rough(people: int) -> int | str:
    """A count for everybody who may see the job: one of few, or of nobody, tells about single persons."""
    return people if people >= SMALL else f"below {SMALL}"


def _payload(work: Work, job_id: int) -> dict[str, Any]:
    return dict(get_job(work, job_id).payload)
