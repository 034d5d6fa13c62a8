"""Texts with and without forbidden claims."""

from __future__ import annotations

from fairlead.testing import ContentHarness


def harness() -> ContentHarness:
    """For a text message, which must also name a way out."""
    return ContentHarness(
        {
            "夏季新品已上架，拒收请回复R": 0,
            "国家级配方，最佳选择，拒收请回复R": 2,
            "夏季新品已上架": 1,
            "最佳赏味期见包装，拒收请回复R": 0,
        }
    )
