"""Documents do not promise what is not there: links lead somewhere, commands exist, examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
import typer.main

from fairlead.cli import app
from fairlead.plugins.manager import Plugins
from fairlead_graphql.cookbook.recipes import read_recipes
from fairlead_graphql.cookbook.reference import commands

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".", "docs", "docs/decisions", "benchmarks", "core/fairlead/demo", "examples/*", "plugins/*/*")
# What the cookbook begins with is no page: its links are those of the page that is made of it.
PAGES = sorted({path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md")})
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(fairlead [^`\n]+)`")


def prose(text: str) -> str:
    """The text without its code blocks."""
    return FENCE.sub("", text)


def blocks(path: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(path.read_text("utf-8")) if language in languages]


def anchors(path: Path) -> set[str]:
    """The fragments of a page's headings, as Markdown renderers make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        file = (page.parent / name) if name else page
        if not file.exists() or (fragment and file.suffix == ".md" and fragment not in anchors(file)):
            broken.append(target)
    assert broken == []


def command_lines(page: Path) -> list[list[str]]:
    """The words of every call of ``fairlead`` in a page's shell blocks and between its back-ticks."""
    lines = [line for body in blocks(page, "sh", "console") for line in body.splitlines()]
    lines += INLINE.findall(prose(page.read_text("utf-8")))
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("fairlead ")]


def known_commands() -> dict[str, set[str]]:
    """Every command with its options, short of the ``fairlead`` before it."""
    root = typer.main.get_command(app)
    found = {name.removeprefix("fairlead "): {"--help"} for name, _ in commands(root, "fairlead")}
    for name, options in found.items():
        command = root
        for word in name.split():
            command = command.commands[word]  # type: ignore[attr-defined]
        for parameter in command.params:
            options.update([*parameter.opts, *parameter.secondary_opts])
    return found


def unknown(words: list[str], known: dict[str, set[str]]) -> str:
    """What in a call of ``fairlead`` does not exist; empty when all does."""
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
    if name is None:
        # A group alone, such as `fairlead plugin`, or a word of dev.py.
        return "" if any(other.startswith(f"{words[0]} ") for other in known) and len(words) == 1 else " ".join(words)
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    return " ".join(sorted(options - known[name]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_fairlead_exists_with_its_options(page: Path) -> None:
    known = known_commands()
    cleaned = [[word for word in words if not set(word) & set("|<>…")] for words in command_lines(page)]
    expanded = [words for words in cleaned if words and not words[0].startswith("--")]
    assert [wrong for words in expanded if (wrong := unknown(words, known))] == []


def test_the_check_of_commands_sees_what_does_not_exist() -> None:
    known = known_commands()
    assert unknown(["serve", "--port", "1"], known) == ""
    assert unknown(["keys", "new", "--write", "x"], known) == ""
    assert unknown(["serve", "--turbo"], known) == "--turbo"
    assert unknown(["fly"], known) == "fly"
    assert unknown(["keys", "eat"], known) == "keys eat"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_word_of_dev_py_exists(page: Path) -> None:
    words = set(re.findall(r'^    "(\w+)": \("', (ROOT / "dev.py").read_text("utf-8"), re.MULTILINE))
    assert {"demo", "test", "docs"} <= words
    used = set(re.findall(r"python3 dev\.py (\w+)", page.read_text("utf-8"))) - {"WORD"}
    assert used <= words


@pytest.mark.parametrize("readme", READMES, ids=lambda page: page.name)
def test_the_readme_shows_a_recipe_with_its_answer(readme: Path) -> None:
    documents = {recipe.document.strip() for recipe in read_recipes(ROOT / "docs" / "cookbook")}
    cookbook = (ROOT / "docs" / "cookbook.md").read_text("utf-8")
    queries, answers = blocks(readme, "graphql"), blocks(readme, "json")
    assert len(queries) == len(answers) == 1
    assert queries[0].strip() in documents
    assert f"```graphql\n{queries[0]}```" in cookbook
    assert f"```json\n{answers[0]}```" in cookbook


@pytest.mark.parametrize("readme", READMES, ids=lambda page: page.name)
def test_the_plugin_of_the_readme_is_let_in(readme: Path) -> None:
    [source] = blocks(readme, "python")
    module = types.ModuleType("fairlead_acme")
    exec(compile(source, str(readme), "exec"), module.__dict__)  # the point of the example is that it runs
    plugins = Plugins.for_tests(module)
    assert [thing.name for status in plugins.statuses() for thing in status.things] == ["acme"]


def test_the_readmes_stay_short_and_say_the_same() -> None:
    texts = [readme.read_text("utf-8") for readme in READMES]
    assert all(len(text.splitlines()) <= 150 for text in texts)
    for language in ("text", "graphql", "json", "python"):
        assert blocks(READMES[0], language) == blocks(READMES[1], language)
    english, chinese = (len(re.findall(r"^## ", text, re.MULTILINE)) for text in texts)
    assert english == chinese


def test_every_decision_is_listed_and_has_two_paragraphs() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    pages = sorted(folder.glob("[0-9]*.md"))
    assert pages
    for page in pages:
        title, state, first, second, *_ = page.read_text("utf-8").split("\n\n")
        assert f"[{title.removeprefix('# ')}]({page.name})" in index
        assert re.fullmatch(r"\d{4}-\d\d-\d\d, (holds|replaced by \d{4})", state), page.name
        assert len(first) > 200, page.name
        assert len(second) > 200, page.name


def test_every_dependency_is_in_the_decision_about_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[\[<>=]", one)[0] for one in wanted} - {"fairlead"}
    [page] = (ROOT / "docs" / "decisions").glob("*-every-dependency-has-a-reason.md")
    cells = re.findall(r"^\| ([^|]+) \|", page.read_text("utf-8"), re.MULTILINE)
    listed = {name for cell in cells for name in re.split(r", | \(", cell)}
    assert sorted(names - listed) == []


@pytest.mark.long
def test_the_readme_prints_what_the_demonstration_says(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fairlead.cli", "demo", "--no-serve"]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")}
    done = subprocess.run(
        command, cwd=tmp_path, env={**surroundings, "COLUMNS": "100"}, capture_output=True, text=True, check=True
    )
    said = {" ".join(re.findall(r"[\w.,]+", line)) for line in done.stdout.splitlines()}
    for readme in READMES:
        [excerpt] = blocks(readme, "text")
        for line in excerpt.splitlines():
            assert " ".join(re.findall(r"[\w.,]+", line)) in said, line
