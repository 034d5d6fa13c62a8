"""What an operator sets for one mail account."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from fairlead.plugins import ADDRESS
from fairlead_email.addresses import BadAddress, checked_address, checked_domain


class EmailSettings(BaseModel):
    """One account at one mail server."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^\S+$",
        description="Name of the SMTP server.",
        json_schema_extra=ADDRESS,
    )
    port: int = Field(
        587, ge=1, le=65535, description="Port: 587 with starttls, 465 with tls.", json_schema_extra=ADDRESS
    )
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls and tls are required once chosen; none needs allow_unencrypted."
    )
    allow_unencrypted: bool = Field(
        False, description="Let mails travel in the clear (a relay on this machine, a demo)."
    )
    ca_pem: str = Field(
        "",
        description="Certificates (PEM) to trust besides the system's, for a server of your own.",
        json_schema_extra=ADDRESS,
    )
    username: str = Field("", description="Login name; empty for a server that asks for none.")
    password: SecretStr = Field(SecretStr(""), description="Login password.")
    from_address: str = Field(examples=["news@example.com"], description="Address that mails come from.")
    from_name: str = Field("", max_length=200, description="Name that mails come from.")
    reply_to: str = Field("", description="Address that answers go to, if another.")
    unsubscribe_mailto: str = Field(
        "", description="Address that unsubscribe mails go to; deliver them to the webhook."
    )
    return_path_domain: str = Field(
        "", description="Domain whose mail is delivered to the webhook, for bounces; needs verp_secret."
    )
    verp_secret: SecretStr | None = Field(
        None, description="Signs the return path and the Message-ID, so that nobody can make up a bounce."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="Signs the raw mails that your mail server posts to the webhook."
    )
    message_id_domain: str = Field("", description="Domain of Message-IDs; the domain of from_address if empty.")
    ehlo_name: str = Field("", description="Name to greet the server with; the domain of from_address if empty.")
    ad_label: str = Field("", max_length=20, description="Put before the subject of marketing mails, such as （广告）.")
    timeout_seconds: float = Field(30.0, gt=0, le=600, description="How long to wait for each answer of the server.")
    final_timeout_seconds: float = Field(
        120.0,
        gt=0,
        le=600,
        description="How long to wait for the answer to a whole mail; too short makes unknown fates.",
    )
    batch: int = Field(100, ge=1, le=1000, description="Mails per connection.")
    per_second: float = Field(10.0, gt=0, le=1000, description="Mails per second that the server takes.")

    @field_validator("from_address", "reply_to", "unsubscribe_mailto")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            return checked_address(value) if value else value
        except BadAddress as error:
            raise ValueError(str(error)) from None

    @field_validator("return_path_domain", "message_id_domain", "ehlo_name")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        try:
            return checked_domain(value) if value else value
        except BadAddress as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not self.from_address:
            raise ValueError("from_address is needed")
        if self.security == "none" and not self.allow_unencrypted:
            raise ValueError("security none needs allow_unencrypted")
        if self.security == "none" and self.username:
            raise ValueError("a password is never sent unencrypted: choose starttls or tls, or no username")
        if self.return_path_domain and self.verp_secret is None:
            raise ValueError("return_path_domain needs verp_secret")
        return self

    @property
    def own_domain(self) -> str:
        """The domain that Message-IDs and the greeting use by default."""
        return self.from_address.rpartition("@")[2]
