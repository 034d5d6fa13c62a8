"""Recipes: a document and its variables in files, run one after the other as chapters of one story.

``NN-name.graphql`` is the document, ``NN-name.json`` says the rest::

    {
      "title": ["English", "中文"],
      "text": ["What it is for.", "用途。"],
      "as": "operator",
      "variables": {"client": "mingqian-tea", "id": "${profile}"},
      "keep": {"profile": "client.profiles.nodes.0.id"}
    }

``keep`` takes values out of the answer for the ``${…}`` of later recipes. More keys, all optional: ``hours`` lets so
much time pass before (0 lets only the work happen that is due), ``times`` asks more than once, ``refused`` names the
code of the error that is the point of the recipe, ``trusted`` sends the document's hash instead of its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from fairlead.errors import Conflict, InvalidInput
from fairlead_graphql.cookbook.shop import Shop
from fairlead_graphql.door.trusted import sha256

_HOLE = re.compile(r"\$\{(\w+)\}")
_TOKEN = re.compile(r"fl_[A-Za-z0-9_-]{43}")
_PHONE = re.compile(r"(\+861\d\d)\d{8}")
TOKEN_SHOWN = "fl_" + "x" * 43


class Words(BaseModel):
    """What a recipe's JSON file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: tuple[str, str]
    text: tuple[str, str]
    who: str = Field(default="operator", alias="as")
    variables: dict[str, Any] = Field(default_factory=dict)
    keep: dict[str, str] = Field(default_factory=dict)
    hours: float | None = Field(default=None, ge=0)
    times: int = Field(default=1, ge=1, le=5)
    refused: str = ""
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe as it is written."""

    name: str
    document: str
    words: Words

    @property
    def is_subscription(self) -> bool:
        """Whether its answer is a stream of events."""
        return re.search(r"^subscription\b", self.document, re.MULTILINE) is not None


@dataclass(frozen=True, slots=True)
class Cooked:
    """A recipe as it was run: what was sent besides the document, and every answer, as they are printed."""

    recipe: Recipe
    request: Mapping[str, Any]
    answers: Sequence[Any]


def read_recipes(folder: Path) -> list[Recipe]:
    """The recipes of a folder by number. Raises :class:`~fairlead.errors.InvalidInput` for one half of a pair."""
    documents = {path.stem: path for path in sorted(folder.glob("*.graphql"))}
    words = {path.stem: path for path in sorted(folder.glob("*.json"))}
    alone = sorted(documents.keys() ^ words.keys())
    if alone:
        raise InvalidInput(f"these recipes lack one of their two files: {', '.join(alone)}")
    return [
        Recipe(name, documents[name].read_text("utf-8"), Words.model_validate_json(words[name].read_bytes()))
        for name in documents
    ]


def cook(recipes: Sequence[Recipe], shop: Shop) -> Iterator[Cooked]:
    """Run the recipes in order. Raises :class:`~fairlead.errors.Conflict` for an answer that is not what is meant."""
    kept: dict[str, str] = {}
    for recipe in recipes:
        words = recipe.words
        if words.hours is not None:
            shop.live(words.hours)
        variables = _filled(words.variables, kept, recipe.name)
        request: dict[str, Any] = {"variables": variables} if variables else {}
        if words.trusted:
            request = {"documentId": sha256(recipe.document), **request}
        body = request if words.trusted else {"query": recipe.document, **request}
        answers: list[Any] = []
        for _ in range(words.times):
            answers += shop.ask(words.who, body, events=recipe.is_subscription)
        _check(recipe, answers)
        for name, path in words.keep.items():
            kept[name] = _at(answers[-1]["data"], path, recipe.name)
        yield Cooked(recipe, _shown(request), [_shown(_without_cost(answer)) for answer in answers])


def _check(recipe: Recipe, answers: Sequence[Any]) -> None:
    if not answers:
        raise Conflict(f"recipe {recipe.name} has no answer")
    wanted = [recipe.words.refused] if recipe.words.refused else []
    for answer in answers:
        found = [error["extensions"]["code"] for error in answer.get("errors", ())]
        for payload in (answer.get("data") or {}).values():
            if isinstance(payload, dict):
                found += [error.get("code", "") for error in payload.get("errors") or ()]
        if sorted(set(found)) != wanted:
            text = orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode()
            raise Conflict(f"recipe {recipe.name} is refused with {found}, meant was {wanted}: {text[:2000]}")


def _filled(value: Any, kept: Mapping[str, str], recipe: str) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, kept, recipe) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, kept, recipe) for inner in value]
    if not isinstance(value, str):
        return value
    missing = [name for name in _HOLE.findall(value) if name not in kept]
    if missing:
        raise InvalidInput(f"recipe {recipe} uses {', '.join(missing)}, which no recipe before it keeps")
    return _HOLE.sub(lambda found: kept[found[1]], value)


def _at(data: Any, path: str, recipe: str) -> str:
    for step in path.split("."):
        try:
            data = data[int(step)] if isinstance(data, list) else data[step]
        except (KeyError, IndexError, TypeError):
            raise Conflict(f"recipe {recipe} has no {path} in its answer") from None
    return str(data)


def _without_cost(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer without the figures of the gate, which would be half of a small answer; the introduction says so."""
    return {name: value for name, value in answer.items() if name != "extensions"}


def _shown(value: Any) -> Any:
    """The value without what differs from run to run, and without phones: a random one may be somebody's."""
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6)  # The last digits of a solved system differ between processors.
    return _PHONE.sub(r"\g<1>00000000", _TOKEN.sub(TOKEN_SHOWN, value)) if isinstance(value, str) else value
