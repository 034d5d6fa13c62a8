"""What an operator sets for one console account."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ConsoleSettings(BaseModel):
    """Where the messages of one account are written."""

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(
        title="File",
        description="The file that gets one JSON line per message: a name that ends in .jsonl. It lies in the folder "
        "of the client inside the folder that the operator names by FAIRLEAD_CONSOLE_FOLDER; a full path must lie in "
        "that folder too. It holds addresses and texts in the clear, so it is created readable by its owner only.",
    )

    @field_validator("path")
    @classmethod
    def _only_message_files(cls, value: Path) -> Path:
        # The setting is typed in by people of a client: it must not append to any other kind of file.
        if value.suffix != ".jsonl" or "\0" in str(value):
            raise ValueError("the file name must end in .jsonl")
        return value
