"""Attribution in the background: one job reads the paths once and lets any number of models share the credit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairlead.engine.port import Engine, Retry
from fairlead.errors import InvalidInput
from fairlead.governance.audit import record
from fairlead.governance.jobs import Progress, create_job, get_job, run_job
from fairlead.governance.model import Job
from fairlead.insights.service import answer, ask, check_model, check_question, keep, read_paths
from fairlead.work import Work

if TYPE_CHECKING:
    from fairlead.runtime import Fairlead

ATTRIBUTE = "insights.attribute"
MOST_MODELS = 20


def register(runtime: Fairlead, engine: Engine) -> None:
    """Make the workflow known."""
    engine.register(ATTRIBUTE, lambda payload: run_attribution(runtime, payload), Retry(attempts=1))


def queue_attribution(
    work: Work, question: Mapping[str, Any], models: Sequence[tuple[str, Mapping[str, Any] | None]]
) -> Job:
    """A job that answers one question by each of ``models`` (name, settings).

    Settings ``None`` are those saved for the client when the job runs; they may hold secrets, so the job does not.
    Raises ``Refusals`` with the path of each wrong part under ``question`` and ``models``, ``PluginOff`` or
    ``NotFound`` for a model or an event type.
    """
    asked = ask(question)
    check_question(work, asked)
    if not 1 <= len(models) <= MOST_MODELS:
        raise InvalidInput(f"give 1 to {MOST_MODELS} models", path=("models",), next_step="ask again for the others")
    for at, (name, settings) in enumerate(models):
        check_model(work, name, settings, path=("models", at))
    payload = {
        "question": asked.model_dump(mode="json"),
        "models": [{"name": name, "settings": settings} for name, settings in models],
    }
    job = create_job(work, ATTRIBUTE, payload, total=len(models))
    record(work, "attribution.ask", "job", str(job.id), after={"models": [name for name, _ in models]})
    return job


def run_attribution(runtime: Fairlead, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Run the job ``payload["job_id"]`` of the client ``payload["client_id"]``; one that ended is passed over.

    Its result is ``{"runs": [ids]}``, in the order of the models. Nothing is written until all have answered, so that
    no writer waits for a computation, and the answers are written with the end of the job: all of them once, or none.
    """
    client_id, job_id = int(payload["client_id"]), int(payload["job_id"])

    def attribute_all(progress: Progress) -> dict[str, Any]:
        with runtime.reading(client_id) as work:
            job = get_job(work, job_id)
            question = ask(job.payload["question"])
            asked: list[Any] = list(job.payload["models"])
            paths = read_paths(work, question)
            chosen = [check_model(work, one["name"], one["settings"]) for one in asked]
        answers = []
        for entry, settings in chosen:
            answers.append(answer(entry, settings, paths))
            progress.report(len(answers))

        def write(work: Work) -> dict[str, Any]:
            return {"runs": [keep(work, question, paths, one).id for one in answers]}

        return progress.conclude(write, done=len(answers))

    return run_job(runtime, client_id, job_id, attribute_all)
