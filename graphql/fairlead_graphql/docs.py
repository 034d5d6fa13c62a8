"""Writes the documents that are made from the code: tables of settings, limits and permissions, and the cookbook.

Called by ``fairlead docs``. The recipes in ``FOLDER/cookbook`` are run anew each time, against a client that is filled
for it, so the answers that are printed are answers that were given.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fairlead.errors import Conflict, InvalidInput, NotFound
from fairlead_graphql.cookbook.page import LANGUAGES, page
from fairlead_graphql.cookbook.recipes import cook, read_recipes
from fairlead_graphql.cookbook.reference import SECTIONS
from fairlead_graphql.cookbook.shop import open_shop

_SECTION = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write(folder: Path, *, write: bool) -> Sequence[Path]:
    """Bring the generated documents in ``folder`` up to date and return those that changed.

    Without ``write`` nothing is touched, and :class:`~fairlead.errors.Conflict` names the files that are stale.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}", next_step="name the one with the documents by --folder")
    wanted = {**cookbook(folder / "cookbook"), **reference(folder)}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    if stale and not write:
        names = ", ".join(str(path) for path in stale)
        raise Conflict(f"these documents are not what the code says: {names}", next_step="run `fairlead docs --write`")
    for path in stale:
        path.write_text(wanted[path], "utf-8")
    return stale


def cookbook(recipes: Path) -> dict[Path, str]:
    """The cookbook's pages beside the folder of its recipes; nothing when there is no such folder."""
    if not recipes.is_dir():
        return {}
    chosen = read_recipes(recipes)
    with (
        tempfile.TemporaryDirectory(prefix="fairlead-cookbook-") as scratch,
        open_shop(Path(scratch), trusted=recipes) as shop,
    ):
        cooked = list(cook(chosen, shop))
    pages = {}
    for place, language in enumerate(LANGUAGES):
        suffix = "" if language == "en" else f".{language}"
        introduction = (recipes / f"introduction{suffix}.md").read_text("utf-8")
        pages[recipes.with_name(f"cookbook{suffix}.md")] = page(introduction, cooked, place)
    return pages


def reference(folder: Path) -> dict[Path, str]:
    """Every other document of the folder that has a generated section, with its sections as they should be."""
    pages = {}
    for path in sorted(folder.glob("*.md")):
        text = path.read_text("utf-8")
        if _SECTION.search(text):
            pages[path] = _SECTION.sub(lambda found, path=path: _section(found, path), text)  # type: ignore[misc]
    return pages


def _section(found: re.Match[str], path: Path) -> str:
    make = SECTIONS.get(found[2])
    if make is None:
        raise InvalidInput(f"{path.name} asks for the section {found[2]!r}; there are: {', '.join(SECTIONS)}")
    return f"{found[1]}{make()}\n{found[3]}"
