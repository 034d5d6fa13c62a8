"""The cookbook tells the truth: every recipe runs, and what is printed is what comes back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fairlead.errors import Conflict, InvalidInput
from fairlead_graphql.cookbook.recipes import Recipe, Words, cook, read_recipes
from fairlead_graphql.cookbook.shop import open_shop
from fairlead_graphql.docs import write
from graphql import OperationDefinitionNode, parse

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECIPES = DOCS / "cookbook"
LEAST = 15


def test_what_is_committed_is_what_the_code_says(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    shutil.copytree(DOCS, folder)
    for page in ("cookbook.md", "cookbook.zh-CN.md"):
        (folder / page).unlink()
    written = {path.name for path in write(folder, write=True)}
    assert written == {"cookbook.md", "cookbook.zh-CN.md"}, "run `python3 dev.py docs` and commit the files"
    for page in sorted(written):
        fresh, committed = ((place / page).read_text("utf-8") for place in (folder, DOCS))
        assert fresh == committed, f"{page} is stale: run `python3 dev.py docs`"


def test_there_are_enough_recipes_and_each_has_one_named_operation_and_both_languages() -> None:
    recipes = read_recipes(RECIPES)
    assert len(recipes) >= LEAST
    for recipe in recipes:
        operations = [one for one in parse(recipe.document).definitions if isinstance(one, OperationDefinitionNode)]
        assert len(operations) == 1, recipe.name
        assert operations[0].name is not None, recipe.name
        assert all(recipe.words.title), recipe.name
        assert all(recipe.words.text), recipe.name


def test_no_secret_of_a_token_is_printed() -> None:
    for page in ("cookbook.md", "cookbook.zh-CN.md"):
        text = (DOCS / page).read_text("utf-8")
        assert text.count("fl_") == text.count("fl_xxx")


def test_stale_documents_are_named_and_left_alone_without_write(tmp_path: Path) -> None:
    page = tmp_path / "access.md"
    text = "# A\n\n<!-- generated: permissions -->\nold\n<!-- end -->\n\nafter\n"
    page.write_text(text, "utf-8")
    with pytest.raises(Conflict, match=r"access\.md"):
        write(tmp_path, write=False)
    assert page.read_text("utf-8") == text
    assert write(tmp_path, write=True) == [page]
    now = page.read_text("utf-8")
    assert "`profiles:reveal`" in now
    assert "old" not in now
    assert now.endswith("<!-- end -->\n\nafter\n")
    assert write(tmp_path, write=False) == []


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("<!-- generated: nothing -->\n<!-- end -->\n", "utf-8")
    with pytest.raises(InvalidInput, match="nothing"):
        write(tmp_path, write=True)


def test_half_a_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "01-a.graphql").write_text("query A { health }\n", "utf-8")
    with pytest.raises(InvalidInput, match="01-a"):
        read_recipes(tmp_path)


def test_a_recipe_whose_answer_is_not_what_is_meant_fails(tmp_path: Path) -> None:
    def recipe(name: str, document: str, **words: object) -> Recipe:
        text = json.dumps({"title": ["A", "A"], "text": ["a", "a"], **words})
        return Recipe(name, document, Words.model_validate_json(text))

    guess = (
        'query A { client(slug: "mingqian-tea") { profileByIdentity(identity: {kind: "phone", value: "1"}) { id } } }'
    )
    with open_shop(tmp_path) as shop:
        assert len(list(cook([recipe("fine", "query A { health }")], shop))) == 1
        for wrong in (
            recipe("refused", guess),
            recipe("not refused", "query A { health }", refused="FORBIDDEN"),
            recipe("nothing to keep", "query A { health }", keep={"id": "client.id"}),
        ):
            with pytest.raises(Conflict, match=wrong.name):
                list(cook([wrong], shop))
        with pytest.raises(InvalidInput, match="person"):
            list(cook([recipe("hole", "query A { health }", variables={"id": "${person}"})], shop))
