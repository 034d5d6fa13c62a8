"""People as the in-memory evaluator sees them, read in a constant number of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fairlead.audiences.checks import SEALED, Prepared
from fairlead.audiences.conditions import BUILT_IN
from fairlead.audiences.happenings import FactTest, Happened
from fairlead.audiences.model import ProfileTag, Score, Stage, Tag
from fairlead.audiences.rules import leaves
from fairlead.customers.model import Consent, Identity, Profile
from fairlead.errors import LimitReached, NotFound
from fairlead.facts import codes
from fairlead.facts.model import Event, Order, OrderLine, Touch
from fairlead.plugins.contracts.rule_operator import FactView, LineView, RuleSubject
from fairlead.work import Work

MOST_AT_ONCE = 5000
COLUMNS = tuple(name for name in BUILT_IN if name != "age")


def load_subject(work: Work, profile_id: int, *, rules: Iterable[Prepared] | None = None) -> RuleSubject:
    """One person with everything up to ``work.now`` that ``rules`` look at (all there is without them).

    Raise ``NotFound`` for a profile that is not active.
    """
    found = load_subjects(work, [profile_id], rules=rules)
    if profile_id not in found:
        raise NotFound("there is no such profile", next_step="ask for a profile that is neither merged nor erased")
    return found[profile_id]


def load_subjects(
    work: Work, profile_ids: Sequence[int], *, rules: Iterable[Prepared] | None = None
) -> dict[int, RuleSubject]:
    """At most 5000 people by id, in at most eleven statements; who is not active is left out."""
    if len(profile_ids) > MOST_AT_ONCE:
        raise LimitReached(f"at most {MOST_AT_ONCE} people at once", next_step="load them in batches")
    reader = _Reader(work, profile_ids, _Needs(rules))
    return reader.read()


class _Needs:
    """Which parts of a person the rules look at."""

    def __init__(self, rules: Iterable[Prepared] | None) -> None:
        prepared = None if rules is None else list(rules)
        tests = [
            (key, test)
            for one in prepared or ()
            for tree in (one.rule, *one.segments.values())
            for _, key, test in leaves(tree)
        ]
        keys = {key for key, _ in tests}
        self._everything = prepared is None or "operator" in keys
        self._keys = keys
        happened = [test for _, test in tests if isinstance(test, Happened)]
        self._sources = {test.source for test in happened}
        self.event_types = None if self._everything else {test.type for test in happened if isinstance(test, FactTest)}
        self.lines = self._everything or any(
            test.source == "order" and where.field in ("item", "category") for test in happened for where in test.where
        )

    def part(self, key: str) -> bool:
        """Whether a part that nodes of this key look at is needed."""
        return self._everything or key in self._keys

    def source(self, source: str) -> bool:
        """Whether facts of this source are needed."""
        return self._everything or source in self._sources


class _Reader:
    def __init__(self, work: Work, profile_ids: Sequence[int], needs: _Needs) -> None:
        self.work, self.ids, self.needs = work, list(dict.fromkeys(profile_ids)), needs
        self.facts: dict[int, list[FactView]] = defaultdict(list)

    def read(self) -> dict[int, RuleSubject]:
        if not self.ids:
            return {}
        profiles = self._rows(
            *(getattr(Profile, name) for name in ("id", "attributes", *COLUMNS)),
            where=(Profile.id.in_(self.ids), Profile.state == "active"),
        )
        self.ids = [row.id for row in profiles]
        self._read_facts()
        tags = self._sets("tag", ProfileTag.profile_id, Tag.name, Tag.id == ProfileTag.tag_id)
        kinds = self._sets("identity", Identity.profile_id, Identity.kind, Identity.state == "active")
        scores: dict[int, dict[str, float]] = defaultdict(dict)
        if self.needs.part("score"):
            for row in self._rows(Score.profile_id, Score.scheme, Score.value, where=(Score.profile_id.in_(self.ids),)):
                scores[row.profile_id][row.scheme] = row.value
        stages: dict[int, str] = {}
        if self.needs.part("stage"):
            rows = self._rows(Stage.profile_id, Stage.name, where=(Stage.profile_id.in_(self.ids),))
            stages = {row.profile_id: row.name for row in rows}
        granted, refused = self._consents()
        return {
            row.id: RuleSubject(
                profile_id=row.id,
                attributes=_attributes(row),
                facts=self.facts.get(row.id, ()),
                tags=frozenset(tags.get(row.id, ())),
                scores=scores.get(row.id, {}),
                consents=frozenset(granted.get(row.id, ())),
                identity_kinds=frozenset(kinds.get(row.id, ())),
                now=self.work.now,
                refusals=frozenset(refused.get(row.id, ())),
                stage=stages.get(row.id),
            )
            for row in profiles
        }

    def _rows(self, *columns: Any, where: tuple[Any, ...]) -> Sequence[Any]:
        return self.work.session.execute(sa.select(*columns).where(*where)).all()

    def _sets(self, key: str, owner: Any, value: Any, *where: Any) -> dict[int, set[str]]:
        found: dict[int, set[str]] = defaultdict(set)
        if self.needs.part(key):
            for profile_id, name in self._rows(owner, value, where=(owner.in_(self.ids), *where)):
                found[profile_id].add(name)
        return found

    def _consents(self) -> tuple[Mapping[int, set[tuple[str, str]]], Mapping[int, set[tuple[str, str]]]]:
        granted: dict[int, set[tuple[str, str]]] = defaultdict(set)
        refused: dict[int, set[tuple[str, str]]] = defaultdict(set)
        if self.needs.part("consent"):
            columns = (Consent.profile_id, Consent.purpose, Consent.channel, Consent.state, Consent.expires_at)
            for row in self._rows(*columns, where=(Consent.profile_id.in_(self.ids),)):
                live = row.state == "granted" and (row.expires_at is None or row.expires_at > self.work.now)
                (granted if live else refused)[row.profile_id].add((row.purpose, row.channel))
        return granted, refused

    # -- facts ----------------------------------------------------------------------------------------------------

    def _read_facts(self) -> None:
        wanted = [source for source in ("event", "order", "touch") if self.needs.source(source)]
        if not wanted or not self.ids:
            return
        channels = codes.names_by_code(self.work, codes.CHANNEL)
        if "event" in wanted:
            self._read_events(channels)
        if "order" in wanted:
            self._read_orders(channels)
        if "touch" in wanted:
            self._read_touches(channels)

    def _read_events(self, channels: Mapping[int, str]) -> None:
        types = codes.names_by_code(self.work, codes.EVENT)
        where: tuple[Any, ...] = (Event.profile_id.in_(self.ids), Event.at <= self.work.now)
        if self.needs.event_types is not None:
            where += (Event.type_code.in_([code for code, name in types.items() if name in self.needs.event_types]),)
        columns = (
            *(Event.profile_id, Event.type_code, Event.channel_code, Event.at),
            *(Event.amount, Event.item, Event.category, Event.properties),
        )
        for row in self._rows(*columns, where=where):
            self.facts[row.profile_id].append(
                FactView(
                    type=types[row.type_code],
                    channel=channels[row.channel_code],
                    at=row.at,
                    amount=row.amount,
                    properties=row.properties or {},
                    item=row.item,
                    category=row.category,
                )
            )

    def _read_orders(self, channels: Mapping[int, str]) -> None:
        where = (Order.profile_id.in_(self.ids), Order.placed_at <= self.work.now)
        names = ("status", "currency", "region", "paid_amount", "refund_amount")
        columns = (
            *(Order.id, Order.profile_id, Order.channel_code, Order.placed_at, Order.amount, Order.properties),
            *(getattr(Order, name) for name in names),
        )
        lines = self._lines(where)
        for row in self._rows(*columns, where=where):
            self.facts[row.profile_id].append(
                FactView(
                    type="order",
                    channel=channels[row.channel_code],
                    at=row.placed_at,
                    amount=row.amount,
                    properties=row.properties or {},
                    source="order",
                    fields={name: getattr(row, name) for name in names},
                    lines=tuple(lines.get(row.id, ())),
                )
            )

    def _lines(self, where: tuple[Any, ...]) -> Mapping[int, list[LineView]]:
        found: dict[int, list[LineView]] = defaultdict(list)
        if self.needs.lines:
            columns = (OrderLine.order_id, OrderLine.sku, OrderLine.category, OrderLine.quantity, OrderLine.amount)
            for row in self._rows(*columns, where=(OrderLine.order_id == Order.id, *where)):
                found[row.order_id].append(LineView(row.sku, row.category, row.quantity, row.amount))
        return found

    def _read_touches(self, channels: Mapping[int, str]) -> None:
        columns = (Touch.profile_id, Touch.channel_code, Touch.kind, Touch.at, Touch.campaign)
        for row in self._rows(*columns, where=(Touch.profile_id.in_(self.ids), Touch.at <= self.work.now)):
            self.facts[row.profile_id].append(
                FactView(
                    type="touch",
                    channel=channels[row.channel_code],
                    at=row.at,
                    amount=None,
                    properties={},
                    source="touch",
                    fields={"kind": row.kind, "campaign": row.campaign},
                )
            )


def _attributes(row: Any) -> Mapping[str, Any]:
    free = {name: value for name, value in row.attributes.items() if name.casefold() not in SEALED}
    return free | {name: getattr(row, name) for name in COLUMNS}
