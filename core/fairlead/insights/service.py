"""Which channel earned it: reads touches and conversions, lets a model share the credit, keeps the answer.

Every answer explains itself: how many paths, how many converted, what was left out and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from fairlead.audiences.guard import guarded
from fairlead.clients.plugin_sets import settings_of
from fairlead.clients.service import get_client
from fairlead.errors import DomainError, InvalidInput, NotFound, PathSegment, Refusals
from fairlead.facts import codes
from fairlead.facts.model import Event, Order, Touch
from fairlead.governance.audit import record
from fairlead.insights.model import AttributionCredit, AttributionRun
from fairlead.insights.paths import OTHER_CURRENCY, Paths, build_paths
from fairlead.plugins.contracts.attribution import AttributionModel, Credits
from fairlead.plugins.errors import Abort
from fairlead.plugins.manifest import Kind
from fairlead.plugins.registry import Registered
from fairlead.storage.session import ScopedSession
from fairlead.storage.types import to_millis
from fairlead.work import Work

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
DAY = 24 * 60 * 60 * 1000
ROUNDING = 1e-6


class Question(BaseModel):
    """What is asked: which conversions, in which span, and how far back touches count.

    ``conversion`` is ``order`` (paid orders in the client's currency, at the instant of payment, worth what was paid
    less refunds) or an event type, worth its amount, or nothing where that is negative. ``start`` and ``end`` bound the
    conversions; touches may be older, up to ``lookback_days``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    conversion: str = Field(default="order", min_length=1, max_length=80)
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    lookback_days: int | None = Field(default=None, ge=1, le=3650)


def ask(data: Mapping[str, Any]) -> Question:
    """A question from its JSON form; raises :class:`Refusals` naming each wrong part."""
    try:
        question = Question.model_validate(dict(data))
    except ValidationError as error:
        raise Refusals(InvalidInput(part["msg"], path=("question", *part["loc"])) for part in error.errors()) from None
    if question.start and question.end and question.start >= question.end:
        raise InvalidInput("the span ends before it starts", path=("question", "end"))
    return question


def read_paths(work: Work, question: Question) -> Paths:
    """The paths a question is about, with their summary.

    Conversions before the span, and orders in another currency than the client's, are read too: they have used up the
    touches before them, and their paths are left out.
    """
    names = codes.names_by_code(work, codes.CHANNEL)
    channels = [names.get(code, "") for code in range(max(names, default=-1) + 1)]
    start = to_millis(question.start) if question.start else None
    end = to_millis(question.end) if question.end else None
    lookback = question.lookback_days * DAY if question.lookback_days else None
    touched = sa.select(Touch.profile_id, sa.type_coerce(Touch.at, sa.BigInteger), Touch.channel_code)
    since = None if start is None or lookback is None else start - lookback
    touches = _columns(work.session, touched.where(*_span(Touch.at, since, end)).order_by(Touch.at, Touch.id), 3)
    who, at, value, own = _conversions(work, question, since, end)
    inside = np.ones(len(at), np.bool_) if start is None else at >= start
    foreign = int(np.count_nonzero(inside & (own == 0)))
    return build_paths(
        touches[0],
        touches[1],
        touches[2],
        who,
        at,
        value,
        conversion_counted=inside & (own == 1),
        left_out={OTHER_CURRENCY: foreign} if foreign else None,
        channels=channels,
        lookback_ms=lookback,
    )


def _conversions(work: Work, question: Question, since: int | None, end: int | None) -> list[IntArray]:
    """Profile, instant, value and, as 0 or 1, whether it is in the client's currency."""
    if question.conversion == "order":
        kept = sa.case((Order.paid_amount > Order.refund_amount, Order.paid_amount - Order.refund_amount), else_=0)
        own = sa.case((Order.currency == get_client(work.session, work.client_id).currency, 1), else_=0)
        paid = sa.select(Order.profile_id, sa.type_coerce(Order.paid_at, sa.BigInteger), kept, own).where(
            Order.profile_id.is_not(None), Order.paid_at.is_not(None), *_span(Order.paid_at, since, end)
        )
        return _columns(work.session, paid.order_by(Order.paid_at, Order.id), 4)
    code = check_question(work, question)
    # What is negative is a refund; like that of an order it cannot make a conversion worth less than nothing.
    amount = sa.case((Event.amount > 0, Event.amount), else_=0)
    happened = sa.select(Event.profile_id, sa.type_coerce(Event.at, sa.BigInteger), amount, sa.literal(1)).where(
        Event.type_code == code, Event.profile_id.is_not(None), *_span(Event.at, since, end)
    )
    return _columns(work.session, happened.order_by(Event.at, Event.id), 4)


def check_question(work: Work, question: Question) -> int | None:
    """The code of the event that converts, ``None`` for orders; raises ``NotFound`` for a type nobody has sent."""
    if question.conversion == "order":
        return None
    code = codes.known_codes(work, codes.EVENT).get(question.conversion)
    if code is None:
        raise NotFound(
            f"there is no event type {question.conversion!r}",
            path=("question", "conversion"),
            next_step="use `order`, or the type of an event that has been taken in",
        )
    return code


def _span(column: Any, start: int | None, end: int | None) -> list[sa.ColumnElement[bool]]:
    number = sa.type_coerce(column, sa.BigInteger)
    out = []
    if start is not None:
        out.append(number >= start)
    if end is not None:
        out.append(number < end)
    return out


def _columns(session: ScopedSession, statement: Any, width: int) -> list[IntArray]:
    """The rows as integer columns, read in blocks so that no list of all rows ever stands in memory."""
    blocks = [np.empty((0, width), np.int64)]
    result = session.execute(statement, execution_options={"yield_per": 100_000})
    for part in result.partitions():
        blocks.append(np.array([tuple(row) for row in part], np.int64))
    table = np.concatenate(blocks)
    return [np.ascontiguousarray(table[:, at]) for at in range(width)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model, with these checked settings, gave for a set of paths."""

    model: str
    settings: BaseModel
    credits: Credits


def check_model(
    work: Work, model: str, settings: Mapping[str, Any] | None, *, path: tuple[PathSegment, ...] = ()
) -> tuple[Registered[AttributionModel], Any]:
    """The model and its checked settings, those saved for the client when ``settings`` is ``None``.

    ``PluginOff``, ``NotFound`` and ``Refusals`` have paths below ``path``.
    """
    try:
        entry = work.plugins.attribution_model(model)
    except DomainError as error:
        error.path = (*path, "name")
        raise
    return entry, settings_of(work, Kind.ATTRIBUTION_MODEL, model, settings, path=(*path, "settings"))


def answer(entry: Registered[AttributionModel], settings: BaseModel, paths: Paths) -> Answer:
    """Let a model share the credit. Raises an error of the plugin ladder when it fails or breaks its contract."""
    with guarded(f"the attribution model {entry.name!r}"):
        credits = entry.thing.credit(paths, settings)
        columns = {"conversions": credits.conversions, "value": credits.value, **credits.detail}
        wrong = [name for name, column in columns.items() if not _is_per_channel(column, paths)]
        if not wrong:
            earned = {"conversions": paths.converted, "value": paths.value}
            wrong = [name for name, all_ in earned.items() if not _adds_up(columns[name], float(all_.sum()))]
    if wrong:
        names = ", ".join(map(repr, wrong[:5]))
        raise Abort(
            f"the attribution model {entry.name!r} gave no finite credits that add up to what was earned: {names}"
        )
    return Answer(entry.name, settings, credits)


def _is_per_channel(column: Any, paths: Paths) -> bool:
    return getattr(column, "shape", None) == (len(paths.names),) and bool(np.isfinite(column).all())


def _adds_up(column: FloatArray, total: float) -> bool:
    return bool((column >= -ROUNDING * max(total, 1.0)).all() and np.isclose(column.sum(), total, ROUNDING, ROUNDING))


def attribute(
    work: Work, model: str, settings: Mapping[str, Any] | None, question: Question, paths: Paths | None = None
) -> AttributionRun:
    """Run a model and keep the answer; :func:`check_model` says what it raises.

    ``paths`` may be handed over when several models answer one question.
    """
    entry, checked = check_model(work, model, settings)
    paths = paths if paths is not None else read_paths(work, question)
    return keep(work, question, paths, answer(entry, checked, paths))


def keep(work: Work, question: Question, paths: Paths, answer: Answer) -> AttributionRun:
    """Write an answer down: the run with its summary, and what each channel that was touched has earned."""
    credits = answer.credits
    run = AttributionRun(
        model=answer.model,
        settings=answer.settings.model_dump(mode="json"),
        question=question.model_dump(mode="json"),
        summary=summarise(paths),
        conversions=float(credits.conversions.sum()),
        value=float(credits.value.sum()),
        computed_at=work.now,
    )
    work.session.add(run)
    work.session.flush()
    touches = np.bincount(paths.channels, minlength=len(paths.names))
    for at, name in enumerate(paths.names):
        if name and touches[at]:
            work.session.add(
                AttributionCredit(
                    run_id=run.id,
                    channel=name,
                    touches=int(touches[at]),
                    conversions=float(credits.conversions[at]),
                    value=float(credits.value[at]),
                    detail={key: float(values[at]) for key, values in credits.detail.items()},
                )
            )
    work.session.flush()
    seen = {"model": answer.model, "paths": run.summary["paths"]}
    record(work, "attribution.run", "attribution_run", str(run.id), after=seen)
    return run


def summarise(paths: Paths) -> dict[str, Any]:
    """The path counts and exclusions as JSON."""
    summary = paths.summary
    return {
        "paths": summary.paths,
        "converting": summary.converting,
        "null": summary.null,
        "touches": summary.touches,
        "conversions": summary.conversions,
        "excludedConversions": dict(summary.excluded_conversions),
        "excludedTouches": dict(summary.excluded_touches),
    }


def credits_of(work: Work, run_id: int) -> list[AttributionCredit]:
    """The credits of a run, the highest first."""
    return list(
        work.session.scalars(
            sa.select(AttributionCredit)
            .where(AttributionCredit.run_id == run_id)
            .order_by(AttributionCredit.conversions.desc(), AttributionCredit.channel)
        )
    )
