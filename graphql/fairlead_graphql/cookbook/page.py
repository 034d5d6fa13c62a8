"""The cookbook as a page: an introduction, a table of contents, and each recipe with what really came back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from fairlead_graphql.cookbook.recipes import Cooked

LANGUAGES = ("en", "zh-CN")
_LABELS = (
    {
        "as": "Asked as",
        "variables": "Variables",
        "request": "The request's body",
        "answer": "Answer",
        "answers": "Answers",
        "events": "Events",
    },
    {
        "as": "调用者",
        "variables": "变量",
        "request": "请求体",
        "answer": "返回",
        "answers": "各次返回",
        "events": "事件",
    },
)
_WIDTH = 100


def page(introduction: str, cooked: Sequence[Cooked], language: int) -> str:
    """The Markdown text in one of :data:`LANGUAGES`, by its place."""
    titles = [f"{number}. {one.recipe.words.title[language]}" for number, one in enumerate(cooked, 1)]
    contents = "\n".join(f"- [{title}](#{_anchor(title)})" for title in titles)
    parts = [introduction.strip(), contents]
    parts += [_recipe(title, one, language) for title, one in zip(titles, cooked, strict=True)]
    return "\n\n".join(parts) + "\n"


def _recipe(title: str, one: Cooked, language: int) -> str:
    labels, words = _LABELS[language], one.recipe.words
    parts = [f"## {title}", words.text[language], f"{labels['as']}: `{words.who}`"]
    parts.append(f"```graphql\n{one.recipe.document.strip()}\n```")
    if one.recipe.words.trusted:
        parts += [labels["request"], _json(one.request)]
    elif one.request:
        parts += [labels["variables"], _json(one.request["variables"])]
    if one.recipe.is_subscription:
        label = labels["events"]
    else:
        label = labels["answer"] if len(one.answers) == 1 else labels["answers"]
    parts.append(label)
    parts += [_json(answer) for answer in one.answers]
    return "\n\n".join(parts)


def _json(value: Any) -> str:
    return f"```json\n{_pretty(value, 0)}\n```"


def _pretty(value: Any, depth: int) -> str:
    """JSON as a person would lay it out: what fits on a line stands on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or (len(flat) + 2 * depth <= _WIDTH and depth > 0):
        return flat
    inner = "  " * (depth + 1)
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(name)}: {_pretty(item, depth + 1)}" for name, item in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
    lines = [inner + _pretty(item, depth + 1) for item in value]
    return "[\n" + ",\n".join(lines) + "\n" + "  " * depth + "]"


def _anchor(title: str) -> str:
    """The fragment that Markdown renderers give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
