"""From a tree to something that can run: names resolved, segments opened, permissions held.

:func:`check_rule` is for what a person wrote and refuses unknown names; :func:`prepare_rule` is for running and takes a
name that never occurred as something nobody did. Both use a constant number of statements.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import ValidationError

from fairlead.audiences.conditions import OperatorTest
from fairlead.audiences.happenings import Happened
from fairlead.audiences.model import Score, Segment, Stage, Tag
from fairlead.audiences.rules import (
    DEEPEST_OPENED,
    MOST_NESTED_SEGMENTS,
    MOST_OPENED_CONDITIONS,
    MOST_VALUES,
    Rule,
    count_values,
    depth_of,
    dump_rule,
    leaves,
    parse_rule,
    walk,
)
from fairlead.clients.model import Client
from fairlead.customers.consent import PURPOSES
from fairlead.errors import (
    Conflict,
    DomainError,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    PathSegment,
    Refusals,
)
from fairlead.facts import codes
from fairlead.governance.permissions import Actor
from fairlead.plugins.contracts.rule_operator import RuleOperator
from fairlead.work import Work

SEALED = frozenset({"name", "phone", "mobile", "email", "mail", "address", "id_card", "identity", "identities"})
"""Names under which personal values are kept sealed; no rule may ask for them, whoever writes it."""
PERSONAL = frozenset({"gender", "age", "birth_date"})
"""Attributes and properties that need ``profiles:read``, since a head-count would tell them."""

Path = tuple[PathSegment, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A rule with everything that running it needs from outside the facts themselves."""

    rule: Rule
    client_id: int
    now: dt.datetime
    zone: ZoneInfo
    currency: str
    events: Mapping[str, int]
    channels: Mapping[str, int]
    segments: Mapping[str, Rule]
    operators: Mapping[str, tuple[RuleOperator, Any]]

    def today(self, now: dt.datetime) -> dt.date:
        """The client's date at an instant."""
        return now.astimezone(self.zone).date()


def prepare_rule(work: Work, rule: Rule | Mapping[str, Any]) -> Prepared:
    """Make a stored or checked rule ready to run.

    Raise ``Refusals`` for a segment that is missing or leads to itself and for a sealed value, ``PluginOff`` for an
    operator that is off now: better no answer than a segment that looks empty.
    """
    rule = parse_rule(rule)
    segments, problems = _open_segments(work, rule)
    if problems:
        raise Refusals(problems)
    trees = (rule, *segments.values())
    refuse_sealed(trees)
    tests = [(key, test) for tree in trees for _, key, test in leaves(tree)]
    zone, currency = work.session.execute(sa.select(Client.zone, Client.currency)).one()
    happened = [test for _, test in tests if isinstance(test, Happened)]
    return Prepared(
        rule=rule,
        client_id=work.client_id,
        now=work.now,
        zone=ZoneInfo(zone),
        currency=currency,
        events=codes.known_codes(work, codes.EVENT) if any(test.source == "event" for test in happened) else {},
        channels=codes.known_codes(work, codes.CHANNEL) if happened else {},
        segments=segments,
        operators={test.spelled: _operator(work, test) for key, test in tests if key == "operator"},
    )


def check_rule(work: Work, rule: Rule | Mapping[str, Any], *, segment: str = "") -> Prepared:
    """Refuse what could never be meant: unknown event types, channels, tags, segments, schemes, operators, purposes.

    Also refuses what the actor may not ask, in the rule and in the segments it uses, and a rule for ``segment`` that
    leads back to it. All refusals come together as :class:`~fairlead.errors.Refusals`, each with its path.
    """
    rule = parse_rule(rule)
    problems: list[DomainError] = [*_hidden(rule, work.actor, work.client_id), *_unknown(work, rule)]
    segments, unfit = _open_segments(work, rule, own=segment)
    problems += unfit
    for path, key, test in leaves(rule):
        if key == "segment" and test.name in segments:
            inner = _reach(segments, test.name)
            if any(_hidden(segments[name], work.actor, work.client_id) for name in inner):
                problems.append(Forbidden("the segment asks for what you may not see", path=path, next_step=_ASK))
    if problems:
        raise Refusals(problems)
    return prepare_rule(work, rule)


def refuse_sealed(trees: Iterable[Rule]) -> None:
    """Refuse trees that ask for a sealed value; holds for the program itself too."""
    for tree in trees:
        problems = list(_asked(tree, SEALED, _SEALED))
        if problems:
            raise Refusals(problems)


_ASK = "ask an admin of the agency for a role with profiles:read"
_SEALED = (
    "names, phones, mails and addresses are sealed and cannot be asked for",
    "ask for an identity's kind instead",
)
_PERSONAL = ("this condition needs the permission profiles:read", _ASK)


def _hidden(rule: Rule, actor: Actor, client_id: int) -> list[Forbidden]:
    problems = list(_asked(rule, SEALED, _SEALED))
    if not actor.may("profiles:read", client_id):
        problems += _asked(rule, PERSONAL, _PERSONAL)
    return problems


def _asked(rule: Rule, names: frozenset[str], why: tuple[str, str]) -> Iterator[Forbidden]:
    for path, key, test in leaves(rule):
        if key == "attribute" and test.name.casefold() in names:
            yield Forbidden(why[0], path=(*path, "name"), next_step=why[1])
        if isinstance(test, Happened):
            for at, where in enumerate(test.where):
                if where.key is not None and where.key.casefold() in names:
                    yield Forbidden(why[0], path=(*path, "where", at, "property"), next_step=why[1])


# -- segments in segments ---------------------------------------------------------------------------------------------


def _open_segments(work: Work, rule: Rule, *, own: str | None = None) -> tuple[dict[str, Rule], list[DomainError]]:
    """The rules of all segments that ``rule`` leads to, by name, and what is wrong with them.

    ``own`` is given when the rule is being written: the name of the segment it is for, or nothing. Archived segments
    are then refused too.
    """
    wanted = {name: path for path, name in _segments_in(rule)}
    if not wanted:
        return {}, []
    rows = work.session.execute(sa.select(Segment.name, Segment.rule, Segment.state)).all()
    stored = {row.name: row.rule for row in rows}
    usable = {row.name for row in rows if own is None or row.state == "active"}
    found: dict[str, Rule] = {}
    problems: list[DomainError] = [
        NotFound(f"there is no segment {name!r}", path=(*path, "name"), next_step="ask for the list of segments")
        for name, path in wanted.items()
        if name not in usable
    ]
    left = [name for name in wanted if name in stored]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = parse_rule(stored[name])
            left += [inner for _, inner in _segments_in(found[name]) if inner in stored]
    for name, path in wanted.items():
        if own and own in _reach(found, name):
            message = f"the segment {own!r} would lead back to itself through {name!r}"
            problems.append(Conflict(message, path=(*path, "name"), next_step="leave that segment out"))
    if not problems:
        problems += _too_much(rule, found)
    return found, problems


def _segments_in(rule: Rule) -> Iterator[tuple[Path, str]]:
    for path, key, test in leaves(rule):
        if key == "segment":
            yield path, test.name


def _reach(found: Mapping[str, Rule], name: str) -> set[str]:
    seen: set[str] = set()
    left = [name]
    while left:
        name = left.pop()
        if name not in seen and name in found:
            seen.add(name)
            left += [inner for _, inner in _segments_in(found[name])]
    return seen


@dataclass(frozen=True, slots=True)
class _Size:
    """A rule with its segments opened: nodes, JSON values, and segments inside each other."""

    nodes: int
    values: int
    segments: int


def _too_much(rule: Rule, found: Mapping[str, Rule]) -> list[DomainError]:
    """Refuse circles, and rules that no database would run when their segments are opened."""
    try:
        size = _grown(rule, found, {}, ())
    except DomainError as error:
        return [error]
    if size.nodes > MOST_OPENED_CONDITIONS:
        too_much = f"has more than {MOST_OPENED_CONDITIONS} conditions"
    elif size.values > MOST_VALUES:
        too_much = f"holds more than {MOST_VALUES} values"
    elif depth_of(rule, found) > DEEPEST_OPENED:
        too_much = f"nests groups deeper than {DEEPEST_OPENED}"
    else:
        return []
    return [LimitReached(f"with its segments opened the rule {too_much}", next_step="use fewer segments")]


def _grown(rule: Rule, found: Mapping[str, Rule], sizes: dict[str, _Size], above: tuple[str, ...]) -> _Size:
    inner: list[_Size] = []
    for path, name in _segments_in(rule):
        if name in above:
            raise Conflict(
                f"the segment {name!r} leads back to itself", path=path, next_step="change one of its segments"
            )
        if name in found and name not in sizes:
            sizes[name] = _grown(found[name], found, sizes, (*above, name))
        inner += [sizes[name]] if name in sizes else []
    size = _Size(
        sum(1 for _ in walk(rule)) + sum(one.nodes for one in inner),
        count_values(dump_rule(rule)) + sum(one.values for one in inner),
        max([0] + [1 + one.segments for one in inner]),
    )
    if max(len(above), size.segments) > MOST_NESTED_SEGMENTS:
        raise LimitReached(
            f"segments use each other deeper than {MOST_NESTED_SEGMENTS}", next_step="use fewer segments"
        )
    return size


# -- names ------------------------------------------------------------------------------------------------------------


def _unknown(work: Work, rule: Rule) -> list[DomainError]:
    found = list(leaves(rule))
    problems: list[DomainError] = []
    if any(isinstance(test, Happened) for _, _, test in found):
        events, channels = codes.known_codes(work, codes.EVENT), codes.known_codes(work, codes.CHANNEL)
        for path, key, test in found:
            if key == "fact" and test.source == "event" and test.type not in events:
                problems.append(_no("event of the type", test.type, (*path, "type"), events))
            if isinstance(test, Happened):
                problems += _unknown_channels(path, test, channels)
    tags = {test.name: path for path, key, test in found if key == "tag"}
    if tags:
        known = set(work.session.scalars(sa.select(Tag.name).where(Tag.name.in_(tags))))
        problems += [_no("tag", name, (*path, "name")) for name, path in tags.items() if name not in known]
    schemes = {test.scheme: path for path, key, test in found if key == "score"}
    missing = schemes.keys() - work.plugins.scoring_schemes.keys()
    if missing:
        known = set(work.session.scalars(sa.select(Score.scheme).where(Score.scheme.in_(missing)).distinct()))
        problems += [_no("scoring scheme", name, (*schemes[name], "scheme")) for name in sorted(missing - known)]
    stages = {name: path for path, key, test in found if key == "stage" for name in test.among}
    if stages:
        known = set(work.session.scalars(sa.select(Stage.name).where(Stage.name.in_(stages)).distinct()))
        problems += [
            InvalidInput(
                f"nobody is in the stage {name!r}: nothing moves people through stages yet",
                path=(*path, "in"),
                next_step="use a tag, a score or a segment",
            )
            for name, path in stages.items()
            if name not in known
        ]
    for path, key, test in found:
        if key == "consent" and test.purpose not in PURPOSES:
            problems.append(_no("purpose", test.purpose, (*path, "purpose"), PURPOSES))
        if key == "operator":
            try:
                _operator(work, test)
            except DomainError as error:
                problems.append(type(error)(error.message, path=(*path, *error.path), next_step=error.next_step))
    return problems


def _unknown_channels(path: Path, test: Happened, channels: Mapping[str, int]) -> Iterator[DomainError]:
    for at, where in enumerate(test.where):
        names = where.value if isinstance(where.value, tuple) else (where.value,)
        if where.field == "channel" and where.op in ("eq", "ne", "in", "not_in"):
            for name in names:
                if name not in channels:
                    yield _no("channel", name, (*path, "where", at, "value"), channels)


def _no(what: str, name: str, path: Path, known: Iterable[str] = ()) -> InvalidInput:
    names = sorted(known)[:20]
    next_step = f"known are {', '.join(names)}" if names else f"create the {what} first, or check how it is spelled"
    return InvalidInput(f"there is no {what} {name!r} here", path=path, next_step=next_step)


def _operator(work: Work, test: OperatorTest) -> tuple[RuleOperator, Any]:
    operator = work.plugins.rule_operator(test.name).thing
    try:
        return operator, operator.manifest.settings.model_validate(test.arguments)
    except ValidationError as error:
        item = error.errors(include_url=False, include_input=False, include_context=False)[0]
        message = f"the arguments of {test.name!r} do not fit: {item['msg']}"
        raise InvalidInput(message, path=("arguments", *item["loc"]), next_step="see the operator's form") from None
