"""A rule in memory for one person, with the reasons: which branch was true, and what was seen.

The same meaning as :mod:`fairlead.audiences.compile`, held equal by a property test. Two things lie outside of both:
the state of the profile (only active ones are in an audience) and what a plugin's operator does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairlead.audiences.buckets import bucket_of
from fairlead.audiences.checks import Prepared
from fairlead.audiences.conditions import (
    AttributeTest,
    BucketTest,
    ConsentTest,
    IdentityTest,
    OperatorTest,
    RegionTest,
    ScoreTest,
    SegmentTest,
    StageTest,
    TagTest,
)
from fairlead.audiences.guard import guarded
from fairlead.audiences.happenings import Aggregate, FactTest, Happened, OrderTest, Where
from fairlead.audiences.rules import Rule, content, key_of
from fairlead.audiences.values import COMPARE, Op, Type, age_on, holds
from fairlead.plugins.contracts.rule_operator import FactView, LineView, RuleSubject


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a node held, under which key, what it asked, what was seen, and the verdicts of its parts.

    ``asked`` is the JSON form of the condition (empty for a group), ``seen`` the values it was compared with.
    """

    matched: bool
    key: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Verdict, ...] = ()

    def walk(self) -> Iterator[Verdict]:
        """This verdict and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


Seen = tuple[bool, Mapping[str, Any]]


def evaluate(prepared: Prepared, subject: RuleSubject) -> Verdict:
    """Whether the rule holds for the person at ``subject.now``, explained to the leaves."""
    return _Evaluation(prepared, subject).node(prepared.rule)


class _Evaluation:
    def __init__(self, prepared: Prepared, subject: RuleSubject) -> None:
        self.prepared, self.subject = prepared, subject
        self._tests: Mapping[str, Callable[[Any], Seen]] = {
            "attribute": self._attribute,
            "fact": self._happened,
            "order": self._happened,
            "tag": self._tag,
            "score": self._score,
            "stage": self._stage,
            "consent": self._consent,
            "identity": self._identity,
            "region": self._region,
            "bucket": self._bucket,
            "operator": self._operator,
        }

    def node(self, rule: Rule) -> Verdict:
        key, inner = key_of(rule), content(rule)
        if key in ("all", "any", "none"):
            parts = tuple(self.node(part) for part in inner)
            some = any(part.matched for part in parts)
            matched = all(part.matched for part in parts) if key == "all" else some if key == "any" else not some
            return Verdict(matched, key, parts=parts)
        asked = inner.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if key == "segment":
            return self._segment(inner, asked)
        matched, seen = self._tests[key](inner)
        return Verdict(matched, key, asked, seen)

    def _segment(self, test: SegmentTest, asked: Mapping[str, Any]) -> Verdict:
        rule = self.prepared.segments.get(test.name)
        if rule is None:
            return Verdict(False, "segment", asked)
        part = self.node(rule)
        return Verdict(part.matched, "segment", asked, parts=(part,))

    def _attribute(self, test: AttributeTest) -> Seen:
        seen = self._value(test.name)
        return holds(test.type, test.op, seen, test.value), {test.name: _shown(seen)}

    def _value(self, name: str) -> Any:
        attributes = self.subject.attributes
        if name != "age":
            return attributes.get(name)
        born = attributes.get("birth_date")
        return None if born is None else age_on(self.prepared.today(self.subject.now), born)

    def _tag(self, test: TagTest) -> Seen:
        return test.name in self.subject.tags, {"tags": sorted(self.subject.tags)}

    def _score(self, test: ScoreTest) -> Seen:
        seen = self.subject.scores.get(test.scheme)
        return holds(Type.NUMBER, test.op, seen, test.value), {test.scheme: seen}

    def _stage(self, test: StageTest) -> Seen:
        return self.subject.stage in test.among, {"stage": self.subject.stage}

    def _consent(self, test: ConsentTest) -> Seen:
        for channel in (test.channel, "*"):
            pair = (test.purpose, channel)
            if pair in self.subject.consents:
                return True, {"granted": channel}
            if pair in self.subject.refusals:
                return False, {"refused": channel}
        return False, {"granted": None}

    def _identity(self, test: IdentityTest) -> Seen:
        return test.kind in self.subject.identity_kinds, {"kinds": sorted(self.subject.identity_kinds)}

    def _region(self, test: RegionTest) -> Seen:
        seen = self.subject.attributes.get("region")
        return holds(Type.TEXT, Op.STARTS_WITH, seen, test.prefix), {"region": seen}

    def _bucket(self, test: BucketTest) -> Seen:
        bucket = bucket_of(self.subject.profile_id, test.salt)
        return test.start <= bucket < test.end, {"bucket": bucket}

    def _operator(self, test: OperatorTest) -> Seen:
        operator, arguments = self.prepared.operators[test.spelled]
        with guarded(f"the rule operator {test.name!r}"):
            return bool(operator.evaluate(self.subject, arguments)), {}

    # -- facts ----------------------------------------------------------------------------------------------------

    def _happened(self, test: Happened) -> Seen:
        found = [fact for fact in self.subject.facts if self._counts(test, fact)]
        last = max((fact.at for fact in found), default=None)
        seen: dict[str, Any] = {"count": len(found), "last": _shown(last)}
        if test.aggregate is None:
            return bool(found) is test.did, seen
        reached, number = _over(test.aggregate, found)
        seen[test.aggregate.function] = number
        return reached is test.did, seen

    def _counts(self, test: Happened, fact: FactView) -> bool:
        if fact.source != test.source or (isinstance(test, FactTest) and fact.type != test.type):
            return False
        start, end = test.window.bounds(self.subject.now)
        if fact.at >= end or (start is not None and fact.at < start):
            return False
        if isinstance(test, OrderTest) and test.status and fact.fields["status"] not in test.status:
            return False
        if test.source == "order" and test.uses_money:
            wanted = (test.currency if isinstance(test, OrderTest) else None) or self.prepared.currency
            if fact.fields["currency"] != wanted:
                return False
        lines = [where for where in test.where if test.source == "order" and where.field in ("item", "category")]
        if lines and not any(all(_line_fits(line, where) for where in lines) for line in fact.lines):
            return False
        return all(_fits(fact, where) for where in test.where if where not in lines)


def _fits(fact: FactView, where: Where) -> bool:
    if where.field is None:
        return holds(Type.JSON, where.op, fact.properties.get(where.key or ""), where.value)
    return holds(where.type, where.op, _field(fact, where.field), where.value)


def _line_fits(line: LineView, where: Where) -> bool:
    return holds(Type.TEXT, where.op, line.item if where.field == "item" else line.category, where.value)


def _field(fact: FactView, name: str) -> Any:
    return getattr(fact, name) if name in ("channel", "item", "category", "amount") else fact.fields[name]


def _over(aggregate: Aggregate, found: Sequence[FactView]) -> tuple[bool, int | float | None]:
    if aggregate.function == "count":
        return _reached(aggregate, len(found)), len(found)
    known = [value for value in (_field(fact, aggregate.target) for fact in found) if value is not None]
    if aggregate.function == "distinct":
        return _reached(aggregate, len(set(known))), len(set(known))
    if aggregate.function == "sum":
        return _reached(aggregate, sum(known)), sum(known)
    if not known:
        return False, None
    if aggregate.function == "avg":
        return _reached(aggregate, sum(known), len(known)), sum(known) / len(known)
    number = min(known) if aggregate.function == "min" else max(known)
    return _reached(aggregate, number), number


def _reached(aggregate: Aggregate, number: int, times: int = 1) -> bool:
    if aggregate.op is Op.BETWEEN:
        low, high = aggregate.value
        return bool(low * times <= number <= high * times)
    return COMPARE[aggregate.op](number, aggregate.value * times)


def _shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value
