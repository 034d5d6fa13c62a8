"""The notifier: one notice, one message in the group."""

from __future__ import annotations

from fairlead.plugins import Kind, Manifest, Title
from fairlead.plugins.contracts.channel import ChannelContext
from fairlead.plugins.contracts.notifier import Notice
from fairlead_feishu.client import body_of, error_of
from fairlead_feishu.settings import FeishuSettings


class FeishuNotifier:
    """Posts notices to a group. The bot cannot recognise repeats, so a lost answer is ``OutcomeUnknown``."""

    manifest = Manifest(
        name="feishu",
        kind=Kind.NOTIFIER,
        version="1.0.0",
        title=Title("飞书群机器人", "Feishu group bot"),
        description=Title(
            "通过自定义机器人把通知发到飞书（Lark）群，支持签名校验与关键词。",
            "Posts notices to a Feishu (Lark) group by a custom bot, with signature and keyword.",
        ),
        settings=FeishuSettings,
    )

    def notify(self, context: ChannelContext, notice: Notice) -> None:
        """Post ``notice``; texts over the platform's 20 KB are shortened. Raises from the ladder."""
        settings: FeishuSettings = context.settings
        body = body_of(
            notice,
            timestamp=int(context.now().timestamp()),
            secret=settings.secret.get_secret_value(),
            keyword=settings.keyword,
        )
        response = context.http.post(
            settings.webhook_url.get_secret_value(),
            content=body,
            headers={"content-type": "application/json; charset=utf-8"},
        )
        error = error_of(response, context.now)
        if error is not None:
            raise error
