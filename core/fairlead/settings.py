"""Settings of the process, read from variables ``FAIRLEAD_…``; what belongs to one client is in the database instead.

==========================  =========================================================================================
variable                    meaning
==========================  =========================================================================================
FAIRLEAD_DATABASE_URL       ``sqlite:///file`` or ``postgresql://…``; by default a file in ``.fairlead/``
FAIRLEAD_KEYS               master keys as text (``id=base64`` by comma or line, the first is active, and ``index=``)
FAIRLEAD_KEY_FILE           a file with the same; by default ``keys`` beside the SQLite file, made at the first start
FAIRLEAD_ENGINE_URL         database of the background engine; by default derived from the database
FAIRLEAD_EXECUTOR_ID        name of this replica, stable over restarts; by default the host's name
FAIRLEAD_ALLOW_HOSTS        hosts plugins may reach although they are not public, ``host`` or ``host:port`` by comma
==========================  =========================================================================================

All others are in :class:`Settings`, with their defaults; ``docs/operating.md`` lists them.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fairlead.storage.crypto import KeyProblem, Keyring, Vault
from fairlead.storage.database import normalise_url

Words = Annotated[tuple[str, ...], NoDecode]


class Limits(BaseSettings):
    """Bounds on what the process does for one caller; variables ``FAIRLEAD_LIMIT_…``, beside those of the API."""

    model_config = SettingsConfigDict(env_prefix="FAIRLEAD_LIMIT_", extra="ignore", frozen=True)

    statement_seconds: float = Field(default=30.0, gt=0, description="Seconds for one SQL statement on PostgreSQL.")
    outgoing_seconds: float = Field(default=10.0, gt=0, description="Seconds for one call to a platform.")
    outgoing_bytes: int = Field(default=1024 * 1024, gt=0, description="Bytes of one platform's answer.")
    threads: int = Field(
        default=8, gt=0, description="Worker threads for requests; the connection pool has the same size."
    )


def _limits() -> Limits:
    return Limits()


class Settings(BaseSettings):
    """Everything that differs between two installations of one release."""

    model_config = SettingsConfigDict(env_prefix="FAIRLEAD_", extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: str = Field(default="sqlite:///.fairlead/fairlead.db", repr=False)
    keys: SecretStr | None = None
    key_file: Path | None = None
    engine_url: str | None = Field(default=None, repr=False)
    executor_id: str = Field(default_factory=socket.gethostname, min_length=1)
    engine: Literal["dbos", "off"] = "dbos"

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = True

    graphiql: bool = False
    introspection: Literal["members", "nobody"] = "members"
    trusted_documents: Path | None = None
    trusted_documents_only: bool = False
    public_url: str = "http://127.0.0.1:8000"
    trusted_hosts: Words = ("127.0.0.1", "localhost", "[::1]")
    cors_origins: Words = ()
    metrics_public: bool = False

    allow_hosts: Words = ()
    plugin_policy: Literal["report", "strict"] = "report"
    cache_seconds: float = Field(
        default=2.0, ge=0, le=5, description="How late a change by another process is noticed."
    )
    limits: Limits = Field(default_factory=_limits)

    @field_validator("trusted_hosts", "cors_origins", "allow_hosts", mode="before")
    @classmethod
    def _by_comma(cls, value: object) -> object:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("trusted_documents", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        # An empty path would be the folder that the process happens to run in.
        return None if value == "" else value

    @field_validator("trusted_documents_only")
    @classmethod
    def _only_of_some(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("trusted_documents") is None:
            raise ValueError("set FAIRLEAD_TRUSTED_DOCUMENTS to the documents that may run")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        return normalise_url(value).render_as_string(hide_password=False)

    @field_validator("public_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("the public address starts with http:// or https://")
        return value.rstrip("/")

    @property
    def database_file(self) -> Path | None:
        """The SQLite file; ``None`` on PostgreSQL."""
        url = normalise_url(self.database_url)
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None

    def prepare(self) -> None:
        """Make the folder of the SQLite file, readable by its owner only."""
        file = self.database_file
        if file is not None and not file.parent.exists():
            file.parent.mkdir(mode=0o700, parents=True)

    def keyring(self) -> Keyring:
        """The master keys: the text, else the file; an embedded installation makes its own at the first start.

        Raises :class:`~fairlead.storage.crypto.KeyProblem` where no key is named and none may be made: keys made in
        silence on one of several machines would lock the others out.
        """
        if self.keys is not None:
            return Keyring.parse(self.keys.get_secret_value())
        file = self.database_file
        path = self.key_file or (file.with_name("keys") if file is not None else None)
        if path is None:
            raise KeyProblem("set FAIRLEAD_KEYS or FAIRLEAD_KEY_FILE; `fairlead keys new` prints fresh keys")
        if self.key_file is not None and not path.is_file():
            raise KeyProblem(f"there is no key file {path}; `fairlead keys new --write {path}` makes one")
        if file is not None and self.key_file is None and file.exists() and file.stat().st_size and not path.exists():
            raise KeyProblem(
                f"the database {file} exists, but its keys {path} do not; restore them, since new keys open nothing"
            )
        return Keyring.from_file(path)

    def vault(self) -> Vault:
        """A vault on :meth:`keyring`."""
        return Vault(self.keyring())
