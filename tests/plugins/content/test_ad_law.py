from __future__ import annotations

import csv
import gzip
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_ad_law import DOUBTFUL, FORBIDDEN, AdLaw, AdLawSettings, _fold

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("FAIRLEAD_DATA", ROOT.parent / "shared" / "data"))


def found(text: str, channel: str = "email", **settings: object) -> list[tuple[str, str]]:
    rule = AdLaw().check(text, channel, AdLawSettings.model_validate(settings))
    return [(text[finding.start : finding.end], finding.severity) for finding in rule]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("国家级品质，最高级享受，最佳选择", [("国家级", "error"), ("最高级", "error"), ("最佳", "error")]),
        ("最 佳 面霜", [("最 佳", "error")]),
        ("销量ＮＯ．１", [("ＮＯ．１", "error")]),
        ("最\u200b佳", [("最\u200b佳", "error")]),
        ("top1面膜", [("top1", "error")]),
        ("TOP10 榜单", []),
        ("首选礼物", [("首选", "warning")]),
        ("最佳赏味期见包装", []),
        ("最佳赏味期见包装，最佳口感", [("最佳", "error")]),
        ("第一步先洁面，最近上新", []),
    ],
)
def test_claims_are_found_where_they_stand(text: str, wanted: list[tuple[str, str]]) -> None:
    assert found(text) == wanted


def test_words_of_ones_own() -> None:
    assert found("神器来了", forbidden=["神器"]) == [("神器", "error")]
    assert found("极品牌面霜", allowed=["极品牌"]) == []


@pytest.mark.parametrize("channel", ["sms", "aliyun_sms"])
def test_a_text_message_names_a_way_out(channel: str) -> None:
    assert found("新品上架", channel) == [("", "error")]
    assert found("新品上架，拒收请回复R", channel) == []
    assert found("新品上架，回T退订", channel) == []
    assert found("新品上架", channel, way_out=False) == []
    assert found("新品上架", "email") == []


@given(st.text(alphabet=st.sampled_from("最佳国家级 NO.1\u200b，Ａ一👍🏽é"), max_size=40))
def test_a_finding_is_the_word_it_names(text: str) -> None:
    for said, _ in found(text):
        assert _fold(said)[0] in {_fold(word)[0] for word in (*FORBIDDEN, *DOUBTFUL)}


def test_real_titles() -> None:
    file = DATA / "cn_cosmetics_listings" / "cosmetic_1111_listings.csv.gz"
    if not file.is_file():
        pytest.skip(f"the real titles are not here: {file.name}; set FAIRLEAD_DATA")
    with gzip.open(file, "rt", encoding="utf-8-sig", newline="") as lines:
        titles = sorted({row["title"] for row in csv.DictReader(lines)})
    words = Counter(said for title in titles for said, _ in found(title))
    for word in ("王牌", "独家", "首选"):
        assert words[word] == sum(title.count(word) for title in titles) > 0
    assert all(_fold(said)[0] in {_fold(word)[0] for word in (*FORBIDDEN, *DOUBTFUL)} for said in words)
