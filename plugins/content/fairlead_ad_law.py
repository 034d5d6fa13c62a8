"""Words that Chinese advertising law forbids or a regulator reads twice, and the way out that a text message names.

Sources: 《中华人民共和国广告法》(2021) art. 9(3): "国家级", "最高级", "最佳" and words of like meaning; art. 43:
advertising by electronic message names a way to refuse. 《广告绝对化用语执法指南》 (SAMR 2023 no. 6): a word is judged
in its context, so a finding asks a person to look, and phrases that are not about the goods are left alone.

Texts are compared in Unicode form NFKC, in upper case, without blanks, punctuation and zero-width characters, since
"最 佳" and "ＮＯ．１" are the same claim; offsets are always those of the text as it was given.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from fairlead.plugins import Kind, Manifest, Quality, Title, hookimpl
from fairlead.plugins.contracts.importer import ContentRule, Finding

FORBIDDEN = (
    *("国家级", "世界级", "宇宙级", "全球级", "最高级", "最佳", "最好", "最优", "最优秀", "最先进", "最低价", "最便宜"),
    *("顶级", "顶尖", "极品", "第一品牌", "全国第一", "全网第一", "中国第一", "行业第一", "销量第一", "排名第一"),
    *("NO1", "TOP1", "绝无仅有", "史无前例", "独一无二", "无与伦比", "首屈一指", "登峰造极", "前所未有"),
)
DOUBTFUL = (
    *("首选", "唯一", "独家", "首家", "首创", "极致", "终极", "王牌", "完美", "万能", "领导品牌", "遥遥领先"),
    *("100%", "最大", "绝对", "全网最低"),
)
HARMLESS = (
    *("最佳赏味期", "最佳食用期", "最佳使用", "最佳搭配", "最好先", "最好在", "最大化", "最大限度", "最大尺寸"),
    *("唯一标识", "唯一编码", "绝对值", "争创最佳"),
)
WAY_OUT = re.compile(r"拒收请?回复\s*R|回复?\s*TD?\s*退订|退订", re.IGNORECASE)


class AdLawSettings(BaseModel):
    """Words of one's own, beside those of the law."""

    model_config = ConfigDict(extra="forbid")

    forbidden: tuple[str, ...] = Field((), description="More words that must not be used")
    allowed: tuple[str, ...] = Field((), description="Phrases that may be used, such as a registered trade mark")
    way_out: bool = Field(True, description="Whether a text message must say how to refuse further ones")


class AdLaw:
    """Finds; never rewrites."""

    manifest = Manifest(
        name="ad_law",
        kind=Kind.CONTENT_RULE,
        version="1.0.0",
        title=Title("广告法用语检查", "Advertising law"),
        description=Title(
            "检查绝对化用语（广告法第九条）和短信退订方式（第四十三条）",
            "Checks for absolute claims (art. 9) and the way to refuse text messages (art. 43)",
        ),
        settings=AdLawSettings,
        quality=Quality(
            {
                "sources_named": "done",
                "tried_on_real_titles": "done",
                "other_articles": "todo",
                "readme_zh_en": "exempt: one file, described in its docstring",
            }
        ),
    )

    def check(self, text: str, channel: str, settings: AdLawSettings) -> Sequence[Finding]:
        """One finding per claim, and one at the end of a text message without a way out."""
        folded, origin = _fold(text)
        harmless = [found.span() for found in _pattern((*HARMLESS, *settings.allowed)).finditer(folded)]
        findings = []
        for found in _pattern((*FORBIDDEN, *DOUBTFUL, *settings.forbidden)).finditer(folded):
            start, end = found.span()
            if not any(low <= start and end <= high for low, high in harmless):
                findings.append(_finding(text, origin[start], origin[end - 1] + 1, found.group()))
        if settings.way_out and text.strip() and _is_text_message(channel) and not WAY_OUT.search(text):
            findings.append(
                Finding(len(text), len(text), "error", "短信未写明退订方式（广告法第四十三条）", "拒收请回复R")
            )
        return findings


def _finding(text: str, start: int, end: int, word: str) -> Finding:
    said = text[start:end]
    if word in DOUBTFUL:
        return Finding(
            start, end, "warning", f"“{said}”可能被认定为绝对化用语（广告法第九条）", "写明范围、时间与依据，或改写"
        )
    return Finding(start, end, "error", f"“{said}”属绝对化用语（广告法第九条第三项）", "删去或改为可证实的说法")


def _fold(text: str) -> tuple[str, list[int]]:
    folded: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        for part in unicodedata.normalize("NFKC", char).upper():
            if part.isalnum() or part == "%":
                folded.append(part)
                origin.append(index)
    return "".join(folded), origin


@functools.lru_cache(maxsize=64)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    plain = {_fold(word)[0] for word in words} - {""}
    # Longest first, and a number must end where the word ends: TOP1 is not in TOP10.
    parts = [f"{re.escape(word)}(?![0-9])" for word in sorted(plain, key=lambda word: (-len(word), word))]
    return re.compile("|".join(parts))


def _is_text_message(channel: str) -> bool:
    return channel == "sms" or channel.endswith("_sms")


@hookimpl
def fairlead_register_content_rules(register: Callable[[ContentRule], None]) -> None:
    """Register the rule."""
    register(AdLaw())
