"""A rule as SQL over ``Profile``: one expression for SQLite and PostgreSQL that is never NULL.

Every subquery names the client itself, so that a statement is right even where the session's criteria do not reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from fairlead.audiences import facts_sql
from fairlead.audiences.buckets import bucket_sql
from fairlead.audiences.checks import Prepared, prepare_rule
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
from fairlead.audiences.happenings import Happened
from fairlead.audiences.model import ProfileTag, Score, Stage, Tag
from fairlead.audiences.rules import GROUPS, Rule, content, depth_of, key_of, leaves
from fairlead.audiences.sql import Condition, column_term, compare, joined, json_term
from fairlead.audiences.values import OPPOSITE, Op, Type, youngest_birth_date
from fairlead.customers.model import Consent, Identity, Profile
from fairlead.plugins.contracts.rule_operator import RuleSqlContext
from fairlead.storage.types import to_millis
from fairlead.work import Work

DEEP = 4
MOST_JOINS = 12
"""Above this many, PostgreSQL would spend its time on planning, and the correlated shape is used."""


def members(
    work: Work, rule: Rule | Mapping[str, Any] | Prepared, *, among: Sequence[int] | sa.Select[int] | None = None
) -> sa.Select[int]:
    """Select the ids of the active profiles for whom the rule holds at ``work.now``.

    ``among`` limits it to some ids, or to those another statement selects; it is then answered by index probes for
    these people alone. Profiles that are merged, restricted or erased are in no audience.
    """
    prepared = rule if isinstance(rule, Prepared) else prepare_rule(work, rule)
    if among is not None:
        return statement(prepared).where(Profile.id.in_(among))
    return statement(prepared, grouped=work.session.is_postgresql)


def statement(prepared: Prepared, *, grouped: bool = False) -> sa.Select[int]:
    """The statement of :func:`members` in one of the two shapes of :mod:`fairlead.audiences.facts_sql`."""
    compiler = Compiler(prepared, grouped=grouped)
    holds = compiler.condition(prepared.rule)
    query = sa.select(Profile.id).select_from(Profile)
    for found in compiler.joins:
        query = query.outerjoin(found, found.c.profile_id == Profile.id)
    return query.where(Profile.client_id == prepared.client_id, Profile.state == "active", holds)


def condition(prepared: Prepared) -> Condition:
    """The rule as a condition on the row of ``Profile`` in an enclosing statement, without any join."""
    return Compiler(prepared).condition(prepared.rule)


class Compiler:
    """Turns the nodes of one prepared rule into SQL; with ``grouped`` it also collects subqueries to be joined."""

    def __init__(self, prepared: Prepared, *, grouped: bool = False) -> None:
        self.prepared = prepared
        self.joins: list[sa.Subquery] = []
        self._grouped = grouped and 0 < self._count_aggregates() <= MOST_JOINS
        self._deep = depth_of(prepared.rule, prepared.segments) > DEEP
        self._done: dict[str, Condition] = {}

    def condition(self, rule: Rule) -> Condition:
        """The condition for one node."""
        key, inner = key_of(rule), content(rule)
        if key in GROUPS and self._deep:
            # What is open before an inner group stays on SQLite's parser stack, so the deepest comes first.
            inner = sorted(inner, key=lambda part: -depth_of(part, self.prepared.segments))
        if key == "all":
            return joined(sa.and_, (self.condition(part) for part in inner))
        if key in ("any", "none"):
            some = joined(sa.or_, (self.condition(part) for part in inner))
            return some if key == "any" else sa.not_(some)
        known = self._done.get(inner.spelled)
        if known is None:
            known = self._done[inner.spelled] = self._leaves[key](inner)
        return known

    @cached_property
    def _leaves(self) -> Mapping[str, Callable[[Any], Condition]]:
        return {
            "attribute": self._attribute,
            "fact": self._happened,
            "order": self._happened,
            "tag": self._tag,
            "segment": self._segment,
            "score": self._score,
            "stage": self._stage,
            "consent": self._consent,
            "identity": self._identity,
            "region": self._region,
            "bucket": self._bucket,
            "operator": self._operator,
        }

    def _count_aggregates(self) -> int:
        trees = (self.prepared.rule, *self.prepared.segments.values())
        tests = {test.spelled: test for tree in trees for _, _, test in leaves(tree) if isinstance(test, Happened)}
        return sum(test.aggregate is not None for test in tests.values())

    # -- facts ----------------------------------------------------------------------------------------------------

    def _happened(self, test: Happened) -> Condition:
        # Whether something happened at all stays an EXISTS, which PostgreSQL makes a semi-join by itself.
        if not self._grouped or test.aggregate is None:
            return facts_sql.correlated(self.prepared, test)
        found, holds = facts_sql.grouped(self.prepared, test)
        if found is not None:
            self.joins.append(found)
        return holds

    # -- the person -----------------------------------------------------------------------------------------------

    def _attribute(self, test: AttributeTest) -> Condition:
        if test.name == "age":
            return self._age(test.op, test.value)
        if test.type is Type.JSON:
            return compare(json_term(Profile.attributes, test.name), test.type, test.op, test.value)
        return compare(column_term(getattr(Profile, test.name), test.type), test.type, test.op, test.value)

    def _age(self, op: Op, value: Any) -> Condition:
        if op in OPPOSITE:
            return sa.not_(self._age(OPPOSITE[op], value))
        born = Profile.birth_date
        if op is Op.EXISTS:
            return born.is_not(None)
        if op is Op.IN:
            return joined(sa.or_, (self._age(Op.EQ, item) for item in value))
        low, high = value if op is Op.BETWEEN else (value, value)
        limits = []
        if op in (Op.EQ, Op.GTE, Op.BETWEEN):
            limits.append(self._at_least(low))
        if op in (Op.EQ, Op.LTE, Op.BETWEEN):
            limits.append(sa.not_(self._at_least(high + 1)))
        if op is Op.GT:
            limits.append(self._at_least(low + 1))
        if op is Op.LT:
            limits.append(sa.not_(self._at_least(low)))
        return sa.and_(born.is_not(None), *limits)

    def _at_least(self, years: int) -> Condition:
        last = youngest_birth_date(self.prepared.today(self.prepared.now), years)
        return sa.false() if last is None else sa.and_(Profile.birth_date.is_not(None), Profile.birth_date <= last)

    def _region(self, test: RegionTest) -> Condition:
        return compare(column_term(Profile.region, Type.TEXT), Type.TEXT, Op.STARTS_WITH, test.prefix)

    def _bucket(self, test: BucketTest) -> Condition:
        return bucket_sql(Profile.id.expression, test.salt).between(test.start, test.end - 1)

    # -- what is kept about the person ----------------------------------------------------------------------------

    def _some(self, entity: Any, *conditions: Any) -> Condition:
        owned = (entity.client_id == self.prepared.client_id, entity.profile_id == Profile.id)
        return sa.exists(sa.select(sa.literal(1)).select_from(entity).where(*owned, *conditions).correlate(Profile))

    def _tag(self, test: TagTest) -> Condition:
        named = sa.select(Tag.id).where(Tag.client_id == self.prepared.client_id, Tag.name == test.name)
        return self._some(ProfileTag, ProfileTag.tag_id == named.scalar_subquery())

    def _score(self, test: ScoreTest) -> Condition:
        if test.op in OPPOSITE:
            return sa.not_(self._score(test.model_copy(update={"op": OPPOSITE[test.op]})))
        fits = compare(column_term(Score.value, Type.NUMBER), Type.NUMBER, test.op, test.value)
        return self._some(Score, Score.scheme == test.scheme, fits)

    def _stage(self, test: StageTest) -> Condition:
        return self._some(Stage, Stage.name.in_(test.among))

    def _identity(self, test: IdentityTest) -> Condition:
        return self._some(Identity, Identity.kind == test.kind, Identity.state == "active")

    def _consent(self, test: ConsentTest) -> Condition:
        live = sa.or_(Consent.expires_at.is_(None), Consent.expires_at > self.prepared.now)
        said = [self._word(test.purpose, channel, live) for channel in dict.fromkeys((test.channel, "*"))]
        return sa.func.coalesce(*said, sa.false())

    def _word(self, purpose: str, channel: str, live: Condition) -> sa.ScalarSelect[bool]:
        owned = (Consent.client_id == self.prepared.client_id, Consent.profile_id == Profile.id)
        return (
            sa.select(sa.and_(Consent.state == "granted", live))
            .where(*owned, Consent.purpose == purpose, Consent.channel == channel)
            .correlate(Profile)
            .scalar_subquery()
        )

    def _segment(self, test: SegmentTest) -> Condition:
        rule = self.prepared.segments.get(test.name)
        return sa.false() if rule is None else self.condition(rule)

    def _operator(self, test: OperatorTest) -> Condition:
        operator, arguments = self.prepared.operators[test.spelled]
        prepared = self.prepared
        context = RuleSqlContext(prepared.client_id, Profile.id.expression, to_millis(prepared.now), prepared.zone.key)
        with guarded(f"the rule operator {test.name!r}"):
            return sa.func.coalesce(operator.compile(context, arguments), sa.false())
