"""What a notice says about a domain event, in Chinese and English: facts and ids, never a person's data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.plugins.contracts.notifier import Notice
from fairlead.plugins.events import DomainEvent, EventType

_WORDS: Mapping[str, tuple[str, str]] = {
    EventType.ACCOUNT_FAILED: ("渠道账号异常", "A channel account failed"),
    EventType.ACCOUNT_RECOVERED: ("渠道账号恢复", "A channel account recovered"),
    EventType.MESSAGE_UNKNOWN: (
        "有消息的发送结果未知,需人工确认",
        "Messages have an unknown outcome and wait for a person",
    ),
    EventType.IMPORT_FINISHED: ("导入完成", "An import finished"),
    EventType.JOURNEY_ACTIVATED: ("旅程已启动", "A journey was activated"),
    EventType.JOURNEY_PAUSED: ("旅程已暂停", "A journey was paused"),
}
NOTICED = frozenset(_WORDS)


def notice_of(event: DomainEvent, client: str) -> Notice:
    """The notice for an event of a type in :data:`NOTICED`; the same event gives the same key."""
    zh, en = _WORDS[event.type]
    lines = [f"{name}: {_plain(value)}" for name, value in event.data.items()]
    return Notice(
        key=event.key,
        type=event.type,
        at=event.at,
        title=f"[{client}] {zh} / {en}",
        text="\n".join([event.subject, *lines]).strip(),
        data={"client": client, "subject": event.subject, **event.data},
    )


def _plain(value: Any) -> str:
    return str(value)[:200]
