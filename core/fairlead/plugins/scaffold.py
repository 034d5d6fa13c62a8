"""``fairlead plugin new``: a plugin package of one's own, from the templates that ship with the core."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from pathlib import Path

from fairlead.errors import Conflict, InvalidInput, Unavailable
from fairlead.plugins.manifest import NAME, Kind

TEMPLATES = Path(__file__).with_name("template")

KINDS: Sequence[Kind] = (
    Kind.CHANNEL,
    Kind.ATTRIBUTION_MODEL,
    Kind.SCORING_SCHEME,
    Kind.NOTIFIER,
    Kind.JOURNEY_NODE,
    Kind.RULE_OPERATOR,
)


def new_plugin(name: str, kind: Kind, folder: Path) -> list[Path]:
    """Write the package ``fairlead_<name>`` into ``folder`` and return its files.

    Raises :class:`InvalidInput` for a bad name or kind, :class:`Conflict` when the folder is taken, and
    :class:`Unavailable` without copier.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InvalidInput(f"{name!r} is not a plugin name: 2 to 40 of a-z, 0-9 and _, starting with a letter")
    if kind not in KINDS:
        raise InvalidInput(f"there is no template for the kind {kind.value}; copy a plugin that ships with Fairlead")
    target = folder / f"fairlead_{name}"
    if target.exists() and any(target.iterdir()):
        raise Conflict(f"{target} is not empty", next_step="choose another name, or another folder with --dir")
    try:
        from copier import run_copy
    except ImportError:
        raise Unavailable(
            "new plugins are written by copier, which is not installed",
            next_step="pip install 'fairlead[new]'",
        ) from None
    words = name.split("_")
    answers = {
        "name": name,
        "kind": kind.value,
        "package": f"fairlead_{name}",
        "distribution": f"fairlead-{name.replace('_', '-')}",
        "class_name": "".join(word.capitalize() for word in words),
        "title": " ".join(words).capitalize(),
    }
    for part in ("common", kind.value):
        run_copy(str(TEMPLATES / part), target, data=answers, defaults=True, quiet=True, overwrite=True)
    return sorted(path for path in target.rglob("*") if path.is_file())
