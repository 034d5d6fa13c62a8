"""The published signing and parsing vectors of platforms, for all plugins' tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Vectors = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """``vectors("taobao.top_sign")`` gives the vectors of an algorithm; skips where the file is not at hand."""
    data = os.environ.get("FAIRLEAD_DATA")
    shared = Path(data).parent if data else Path(__file__).resolve().parents[3] / "shared"
    file = shared / "platforms" / "vectors.json"
    if not file.is_file():
        pytest.skip("the platform vectors are not at hand; set FAIRLEAD_DATA to the data folder beside them")
    algorithms = json.loads(file.read_text(encoding="utf-8"))["algorithms"]

    def of(name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = algorithms[name]["vectors"]
        assert found
        return found

    return of
