"""What holds for every test run."""

from __future__ import annotations

import os
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent


def misplaced_packages(root: Path) -> list[Path]:
    """The ``__init__.py`` files that stand directly in an import root, or in a folder above one."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    roots = [Path(name) for name in project["tool"]["hatch"]["build"]["dev-mode-dirs"]]
    folders = {folder for name in roots for folder in (name, *name.parents) if folder != Path()}
    return sorted(folder / "__init__.py" for folder in folders if (root / folder / "__init__.py").exists())


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to start where an import root is a package: ``graphql/__init__.py`` would hide the GraphQL library."""
    # A busy machine is no reason to fail: an example takes as long as it takes.
    settings.register_profile("any_machine", deadline=None)
    settings.load_profile("any_machine")
    # The console channel writes where the operator says; the files of tests lie in the system's temporary folder.
    os.environ.setdefault("FAIRLEAD_CONSOLE_FOLDER", str(Path(tempfile.gettempdir()).resolve()))
    found = misplaced_packages(ROOT)
    if found:
        names = ", ".join(map(str, found))
        raise pytest.UsageError(f"an import root holds packages and is none itself, remove: {names}")
