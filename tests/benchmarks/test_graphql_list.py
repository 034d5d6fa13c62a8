"""The three sides of the list benchmark answer the same; nothing is timed here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ANSWERS = """
import json
from benchmarks.graphql_list import DOCUMENT, PAGE, Floor, Ours, UsualStack, pages, people, same

with people(200) as of:
    sides = (Ours(of), UsualStack(of), Floor(of))
    for variables in (pages(of)[0], pages(of)[7], pages(of)[0] | {"after": Floor.cursor(of.profile_ids[-3])}):
        answers = [json.loads(side.answer(DOCUMENT, variables)) for side in sides]
        same(answers)
        print(json.dumps(answers[0]))
    try:
        same([answers[0], answers[1] | {"more": 1}])
    except AssertionError:
        print('"refused"')
"""


def test_all_sides_answer_the_same() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ANSWERS], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert ran.returncode == 0, ran.stderr
    first, middle, last, refused = map(json.loads, ran.stdout.splitlines())
    pages = [page["data"]["client"]["profiles"] for page in (first, middle, last)]
    assert [len(page["edges"]) for page in pages] == [50, 50, 2]
    assert [page["pageInfo"]["hasNextPage"] for page in pages] == [True, True, False]
    person = pages[0]["edges"][0]["node"]
    assert [identity["kind"] for identity in person["identities"]] == ["phone", "email", "wechat_openid"]
    assert person["identities"][0]["masked"] == "+86138****0000"
    assert len(person["tags"]) == 3
    assert person["name"].endswith("*")
    assert refused == "refused"
