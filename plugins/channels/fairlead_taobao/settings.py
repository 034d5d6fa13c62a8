"""What an operator sets for one Taobao or Tmall shop."""

from __future__ import annotations

import datetime as dt
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from fairlead.plugins import ADDRESS

GATEWAY = "https://gw.api.taobao.com/router/rest"
TOKEN_URL = "https://oauth.taobao.com/token"  # noqa: S105 - an address


class TaobaoSettings(BaseModel):
    """One app of the open platform, authorised by one shop."""

    model_config = ConfigDict(extra="forbid")

    app_key: str = Field(min_length=1, max_length=40, pattern=r"^\S+$", description="AppKey of your TOP app.")
    app_secret: SecretStr = Field(min_length=1, description="AppSecret of your TOP app.")
    session: SecretStr = Field(
        SecretStr(""), description="The shop's access token (TOP calls it session). Renewed by the refresh token."
    )
    refresh_token: SecretStr = Field(SecretStr(""), description="The shop's refresh token. Replaced at every renewal.")
    session_expires_at: dt.datetime | None = Field(None, description="When the access token ends; set by the renewal.")
    refresh_expires_at: dt.datetime | None = Field(None, description="When the refresh token ends; set by the renewal.")
    sign_method: Literal["hmac-sha256", "hmac", "md5"] = Field("hmac-sha256", description="How requests are signed.")
    gateway_url: str = Field(
        GATEWAY,
        pattern=r"^https?://",
        description="Where calls go; a sandbox or twin has its own.",
        json_schema_extra=ADDRESS,
    )
    token_url: str = Field(
        TOKEN_URL, pattern=r"^https?://", description="Where tokens are renewed.", json_schema_extra=ADDRESS
    )
    window_minutes: int = Field(30, ge=1, le=1440, description="Length of one query in minutes; TOP takes up to a day.")
    page_size: int = Field(100, ge=1, le=100, description="Orders per page; TOP gives up to 100.")
    settle_seconds: int = Field(
        60, ge=1, le=3600, description="How long after a change it is first read, so that pages stand still."
    )
    overlap_seconds: int = Field(
        300,
        ge=0,
        le=86400,
        description="How much of the time before a sync is read again, because changes appear late.",
    )
    fetch_refunds: bool = Field(
        True,
        description="Read the exact amount of each finished refund (one call each); else the price of its lines.",
    )
    webhook_reply: str = Field('{"success":true}', description="The body that answers a verified callback.")

    @model_validator(mode="after")
    def _late_changes_are_read(self) -> Self:
        if self.overlap_seconds and self.overlap_seconds < self.settle_seconds:
            raise ValueError(
                "overlap_seconds must be 0 or at least settle_seconds, else changes in between are never read"
            )
        return self
