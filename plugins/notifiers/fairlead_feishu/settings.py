"""What an operator sets for one Feishu group."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from fairlead.plugins import ADDRESS


class FeishuSettings(BaseModel):
    """One custom bot of one group."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    webhook_url: SecretStr = Field(
        examples=["https://open.feishu.cn/open-apis/bot/v2/hook/00000000-0000-0000-0000-000000000000"],
        title="Webhook 地址 / Webhook URL",
        description="The bot's webhook address, from the group's settings. Whoever knows it can post to the group.",
        json_schema_extra=ADDRESS,
    )
    secret: SecretStr = Field(
        SecretStr(""),
        title="签名密钥 / Signing secret",
        description="The secret of the bot's security setting 'signature verification'. Empty: nothing is signed.",
    )
    keyword: str = Field(
        "",
        max_length=50,
        title="关键词 / Keyword",
        description="A keyword of the bot's security setting 'custom keywords'; added to titles that lack it.",
    )

    @field_validator("webhook_url")
    @classmethod
    def _is_an_address(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("the webhook address starts with https://")
        return value
