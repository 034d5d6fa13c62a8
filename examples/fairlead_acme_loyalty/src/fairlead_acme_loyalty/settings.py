"""What an operator fills in for one account."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fairlead.plugins import ADDRESS


class CardSettings(BaseModel):
    """One card programme at Acme."""

    model_config = ConfigDict(extra="forbid")

    base_url: str = Field("https://api.acme.example/v1", description="Address of Acme's API", json_schema_extra=ADDRESS)
    programme: str = Field(description="Number of the card programme", examples=["P-100"])
    api_secret: SecretStr = Field(description="Secret of the programme, from Acme's console")
