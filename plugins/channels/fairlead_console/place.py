"""Where message files may lie: in one folder that the operator names, never where a client's member points.

Whatever is wrong with a place is answered with one and the same sentence, so that a setting cannot be used to ask what
exists on the machine.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from fairlead.plugins.errors import FixSettings

VARIABLE = "FAIRLEAD_CONSOLE_FOLDER"
DEFAULT = Path(".fairlead/console")
REFUSED = f"no message file can be written there; give a file name that ends in .jsonl, its folder is {VARIABLE}"
_OWNER = ".client"


def folder() -> Path:
    """The operator's folder with all links followed; the default one is made, readable by its owner only."""
    named = os.environ.get(VARIABLE)
    if not named:
        DEFAULT.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(named or DEFAULT).resolve()


def resolve(path: Path, client: str) -> Path:
    """The file that ``path`` names for the client with this slug, its folder with all links followed.

    A relative path is taken inside the client's own folder, which is made; an absolute one must lie in the operator's
    folder and not in the own folder of another client. Raises :class:`FixSettings` for everything else.
    """
    try:
        root = folder()
        own = root / client
        if not path.is_absolute():
            _make(own, client)
        # The last part is not followed: the file is opened without following links.
        found = (own / path).parent.resolve(strict=True) / path.name
        owner = root / found.relative_to(root).parts[0] / _OWNER
        inside = path.is_absolute() or found.is_relative_to(own)
        foreign = owner.is_file() and owner.read_text("utf-8") != client
    except (OSError, RuntimeError, ValueError):
        raise FixSettings(REFUSED) from None
    if not inside or foreign:
        raise FixSettings(REFUSED)
    return found


def _make(own: Path, client: str) -> None:
    """A client's own folder, and in it the name of who it belongs to; it appears whole and is never written again."""
    own.mkdir(mode=0o700, exist_ok=True)
    owner = own / _OWNER
    if owner.exists():
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=own, prefix=_OWNER) as made:
        made.write(client)
        made.flush()
        os.fsync(made.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(made.name, owner)
