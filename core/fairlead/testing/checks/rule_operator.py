"""What a rule operator promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.plugins.contracts.rule_operator import RuleSqlContext
from fairlead.testing.harness import RuleHarness, default_rule_harness
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()

Verdicts = list[bool]


@CHECKS.add(twin=True)
def sql_and_memory_agree(subject: Subject) -> None:
    """compile() and evaluate() say the same of every person, for every sample of arguments."""
    with subject.open(RuleHarness, default_rule_harness) as harness:
        for arguments in harness.arguments:
            by_sql, by_memory = _compiled(subject, harness, arguments), _evaluated(subject, harness, arguments)
            different = [
                person.profile_id
                for person, one, other in zip(harness.subjects, by_sql, by_memory, strict=True)
                if one != other
            ]
            require(
                not different,
                f"compile() and evaluate() disagree about {len(different)} of {len(by_sql)} people with {arguments!r}",
            )


@CHECKS.add(twin=True)
def the_condition_tells_people_apart(subject: Subject) -> None:
    """Over all sample arguments, the condition holds for somebody and fails for somebody."""
    with subject.open(RuleHarness, default_rule_harness) as harness:
        verdicts = [v for arguments in harness.arguments for v in _evaluated(subject, harness, arguments)]
    where = subject.where(subject.thing.evaluate)
    require(any(verdicts), f"evaluate() holds for none of the sample people; give a harness in which it does ({where})")
    require(not all(verdicts), f"evaluate() holds for all sample people; give a harness in which it fails ({where})")


@CHECKS.add(twin=True)
def the_condition_can_be_negated(subject: Subject) -> None:
    """The compiled condition is never NULL: NOT of it holds for exactly the others."""
    with subject.open(RuleHarness, default_rule_harness) as harness:
        for arguments in harness.arguments:
            holds = _compiled(subject, harness, arguments)
            fails = _compiled(subject, harness, arguments, negated=True)
            unclear = sum(one == other for one, other in zip(holds, fails, strict=True))
            require(not unclear, f"compile() is NULL for {unclear} people with {arguments!r}; wrap it in coalesce()")


def _compiled(subject: Subject, harness: RuleHarness, arguments: Any, *, negated: bool = False) -> Verdicts:
    now = int(harness.now.timestamp() * 1000)
    context = RuleSqlContext(harness.client_id, harness.profile_id, now, "Asia/Shanghai")
    where = subject.where(subject.thing.compile)
    try:
        condition = subject.thing.compile(context, arguments)
        require(isinstance(condition, sa.ColumnElement), f"compile() gave {type(condition).__name__} ({where})")
        wanted = sa.not_(condition) if negated else condition
        found = set(harness.session.scalars(sa.select(harness.profile_id).where(wanted)))
    except sa.exc.SQLAlchemyError as error:
        text = " ".join(str(getattr(error, "orig", None) or error).split())
        broken(f"the compiled condition does not run: {text}; an operator on tables needs a harness ({where})")
    return [person.profile_id in found for person in harness.subjects]


def _evaluated(subject: Subject, harness: RuleHarness, arguments: Any) -> Verdicts:
    where = subject.where(subject.thing.evaluate)
    verdicts: Sequence[Any] = [subject.thing.evaluate(person, arguments) for person in harness.subjects]
    odd = next((v for v in verdicts if not isinstance(v, bool)), None)
    require(odd is None or isinstance(odd, bool), f"evaluate() gave {odd!r}; return True or False ({where})")
    if any(not isinstance(v, bool) for v in verdicts):
        broken(f"evaluate() gave None; return True or False ({where})")
    return list(verdicts)
