"""What an operator sets for one receiver."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from fairlead.plugins import ADDRESS
from fairlead_webhook.signing import BadSecret, key_of

# The published sample of the specification's test suite.
_EXAMPLE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class WebhookSettings(BaseModel):
    """One address that takes Standard Webhooks."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: str = Field(
        examples=["https://receiver.example/hooks/fairlead"],
        max_length=2000,
        pattern=r"^https?://\S+$",
        title="接收地址 / URL",
        description="Where notices are posted. It is shown to operators: do not put a token into it.",
        json_schema_extra=ADDRESS,
    )
    secret: SecretStr = Field(
        examples=[_EXAMPLE],
        title="签名密钥 / Signing secret",
        description="whsec_ and the base64 of 24 to 64 random bytes; the receiver checks signatures with it.",
    )
    previous_secrets: SecretStr = Field(
        SecretStr(""),
        title="旧密钥 / Previous secrets",
        description="While keys are changed: the older secrets, separated by spaces. Requests are signed with all.",
    )

    @field_validator("secret")
    @classmethod
    def _is_a_secret(cls, value: SecretStr) -> SecretStr:
        _check(value.get_secret_value())
        return value

    @field_validator("previous_secrets")
    @classmethod
    def _are_secrets(cls, value: SecretStr) -> SecretStr:
        for text in value.get_secret_value().split():
            _check(text)
        return value

    def keys(self) -> tuple[bytes, ...]:
        """The signing keys, newest first."""
        texts = [self.secret.get_secret_value(), *self.previous_secrets.get_secret_value().split()]
        return tuple(key_of(text) for text in texts)


def _check(text: str) -> None:
    try:
        key = key_of(text)
    except BadSecret as error:
        raise ValueError(str(error)) from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a secret is the base64 of 24 to 64 bytes")
