"""The nodes every journey needs. They keep the contract of a plugin's node and compile to SQL as well.

A client cannot switch these off; a plugin's node stands beside them under a name of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fairlead.audiences.compile import members
from fairlead.audiences.rules import Rule, parse_rule
from fairlead.customers.mapping import Purpose
from fairlead.plugins.contracts.journey_node import JourneyNode, NodeBatch, NodeOutcome, NodeSqlContext
from fairlead.plugins.manifest import Kind, Manifest, NoSettings, Title
from fairlead.plugins.registry import Registered
from fairlead.work import Work

VERSION = "1.0"
STAY = -1
MINUTE = 60_000
LONGEST_DAYS = 3650


def _manifest(
    name: str, zh: str, en: str, what_zh: str, what_en: str, settings: type[BaseModel] = NoSettings
) -> Manifest:
    return Manifest(
        name=name,
        kind=Kind.JOURNEY_NODE,
        version=VERSION,
        title=Title(zh, en),
        description=Title(what_zh, what_en),
        settings=settings,
    )


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SegmentTriggerSettings(_Settings):
    """Who is in the segment when the journey starts, and whoever enters it later."""

    segment: str = Field(min_length=1, max_length=80)


class EventTriggerSettings(_Settings):
    """Whoever has an event of this type from now on."""

    event: str = Field(min_length=1, max_length=80)


class WaitSettings(_Settings):
    """A span of time, the sum of its parts."""

    minutes: int = Field(default=0, ge=0, le=LONGEST_DAYS * 24 * 60)
    hours: int = Field(default=0, ge=0, le=LONGEST_DAYS * 24)
    days: int = Field(default=0, ge=0, le=LONGEST_DAYS)

    @property
    def millis(self) -> int:
        """The span in milliseconds."""
        return (self.minutes + 60 * (self.hours + 24 * self.days)) * MINUTE

    @model_validator(mode="after")
    def _some(self) -> WaitSettings:
        if self.millis <= 0:
            raise ValueError("a wait needs minutes, hours or days")
        return self


class _WithRule(_Settings):
    rule: dict[str, Any]

    @field_validator("rule")
    @classmethod
    def _parses(cls, rule: dict[str, Any]) -> dict[str, Any]:
        parse_rule(rule)
        return rule

    def parsed(self) -> Rule:
        """The rule tree."""
        return parse_rule(self.rule)


class ConditionSettings(_WithRule):
    """A rule about the person."""


class GoalSettings(_WithRule):
    """A rule that counts as success, watched for a while."""

    days: int = Field(default=7, ge=0, le=365)
    every_minutes: int = Field(default=60, ge=1, le=24 * 60)


class SendSettings(_Settings):
    """A message through an account with a template, for a purpose the person must have agreed to."""

    account: str = Field(min_length=1, max_length=80)
    template: str = Field(min_length=1, max_length=80)
    purpose: Purpose = "marketing"


def _holds(context: NodeSqlContext, settings: _WithRule) -> sa.ColumnElement[bool]:
    return context.profile_id.in_(members(context.work, settings.parsed(), among=context.people))


class _SqlNode:
    """A node whose decision is SQL; for a plain batch the same expressions run over its rows."""

    manifest: Manifest

    def outlets(self, settings: Any) -> tuple[str, ...]:
        return ("next",)

    def outlet_sql(self, context: NodeSqlContext, settings: Any) -> sa.ColumnElement[int]:
        return sa.literal(0)

    def due_sql(self, context: NodeSqlContext, settings: Any) -> sa.ColumnElement[int]:
        return sa.literal(context.now)

    def run(self, batch: NodeBatch, settings: Any) -> NodeOutcome:
        return NodeOutcome(np.zeros(len(batch.profile_ids), np.int64))


class SegmentTrigger(_SqlNode):
    """Where people who enter a segment come in."""

    manifest = _manifest(
        "trigger_segment",
        "进入分群",
        "Enters a segment",
        "成员进入分群时开始",
        "Starts for members of a segment",
        SegmentTriggerSettings,
    )


class EventTrigger(_SqlNode):
    """Where people with an event come in."""

    manifest = _manifest(
        "trigger_event",
        "发生事件",
        "Does something",
        "发生指定事件时开始",
        "Starts for people with an event",
        EventTriggerSettings,
    )


class ManualTrigger(_SqlNode):
    """Where people are put in by hand or by the API."""

    manifest = _manifest(
        "trigger_manual", "手动加入", "Added by hand", "由人工或接口加入", "Starts for people added by hand"
    )


class Wait(_SqlNode):
    """Holds everybody for a span of time."""

    manifest = _manifest("wait", "等待", "Wait", "等待一段时间", "Waits for a span of time", WaitSettings)

    def outlet_sql(self, context: NodeSqlContext, settings: WaitSettings) -> sa.ColumnElement[int]:
        return sa.case((context.entered_at <= context.now - settings.millis, 0), else_=STAY)

    def due_sql(self, context: NodeSqlContext, settings: WaitSettings) -> sa.ColumnElement[int]:
        return context.entered_at + settings.millis

    def run(self, batch: NodeBatch, settings: WaitSettings) -> NodeOutcome:
        due = batch.entered_at + settings.millis
        return NodeOutcome(np.where(due <= batch.now, 0, STAY), due)


class Condition(_SqlNode):
    """Sends people one way or the other by a rule."""

    manifest = _manifest("condition", "条件判断", "Condition", "按规则分流", "Branches by a rule", ConditionSettings)

    def outlets(self, settings: Any) -> tuple[str, ...]:
        return ("yes", "no")

    def outlet_sql(self, context: NodeSqlContext, settings: ConditionSettings) -> sa.ColumnElement[int]:
        return sa.case((_holds(context, settings), 0), else_=1)


class Send(_SqlNode):
    """Puts one message per person into the outbox; the guards decide when it is about to leave."""

    manifest = _manifest("send", "发送消息", "Send", "通过渠道发送一条消息", "Sends one message", SendSettings)


class Goal(_SqlNode):
    """Watches for success, then lets people go by what happened."""

    manifest = _manifest("goal", "目标", "Goal", "在期限内达成则记为目标", "Counts success within a time", GoalSettings)

    def outlets(self, settings: Any) -> tuple[str, ...]:
        return ("reached", "missed")

    def outlet_sql(self, context: NodeSqlContext, settings: GoalSettings) -> sa.ColumnElement[int]:
        over = context.entered_at + settings.days * 24 * 60 * MINUTE <= context.now
        return sa.case((_holds(context, settings), 0), (over, 1), else_=STAY)

    def due_sql(self, context: NodeSqlContext, settings: GoalSettings) -> sa.ColumnElement[int]:
        deadline = context.entered_at + settings.days * 24 * 60 * MINUTE
        again = sa.literal(context.now + settings.every_minutes * MINUTE)
        return sa.case((deadline < again, deadline), else_=again)


class Exit(_SqlNode):
    """Ends the journey."""

    manifest = _manifest("exit", "结束", "Exit", "结束旅程", "Ends the journey")

    def outlets(self, settings: Any) -> tuple[str, ...]:
        return ()


TRIGGERS = ("trigger_segment", "trigger_event", "trigger_manual")
BUILT_IN: dict[str, JourneyNode] = {
    node.manifest.name: node
    for node in (SegmentTrigger(), EventTrigger(), ManualTrigger(), Wait(), Condition(), Send(), Goal(), Exit())
}


def catalogue(work: Work) -> dict[str, JourneyNode]:
    """Every kind of node this client can draw with: the built-in ones and its plugins'."""
    plugins: dict[str, Registered[JourneyNode]] = dict(work.plugins.journey_nodes)
    return {**{name: entry.thing for name, entry in plugins.items()}, **BUILT_IN}


def find_node(work: Work, kind: str) -> JourneyNode:
    """The node of this kind; raises ``PluginOff`` or ``NotFound`` for a plugin's that the client does not have."""
    built_in = BUILT_IN.get(kind)
    return built_in if built_in is not None else work.plugins.journey_node(kind).thing
