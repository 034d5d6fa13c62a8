from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import pytest

from fairlead.customers.mapping import OrderMapping, Source, clean_header
from fairlead_tmall_report import TmallReport

HEADER = ["订单编号", "总金额", "买家实际支付金额", "收货地址 ", "订单创建时间", "订单付款时间 ", "退款金额"]
ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("FAIRLEAD_DATA", ROOT.parent / "shared" / "data"))


def test_the_report_is_recognised_with_its_blanks() -> None:
    proposal = TmallReport().propose(HEADER)
    assert proposal is not None
    assert proposal["收货地址 "] == "receiver_region"
    assert set(proposal) == set(HEADER)


def test_further_columns_are_left_alone() -> None:
    proposal = TmallReport().propose([*HEADER, "备注"])
    assert proposal is not None
    assert "备注" not in proposal


@pytest.mark.parametrize(
    "header", [HEADER[1:], ["order_id", "amount"], [*HEADER, "订单编号 "]], ids=["no number", "english", "twice"]
)
def test_another_header_is_not(header: list[str]) -> None:
    assert TmallReport().propose(header) is None


def test_the_proposal_makes_a_mapping_of_the_core() -> None:
    proposal = TmallReport().propose(HEADER)
    assert proposal is not None
    fields = {field: clean_header(column) for column, field in proposal.items()}
    mapping = OrderMapping(source="tmall", channel=Source(constant="tmall"), **fields)
    assert mapping.order_id == "订单编号"
    assert mapping.receiver_region == "收货地址"


def test_the_real_report_is_recognised() -> None:
    file = DATA / "tmall_orders" / "tmall_order_report.csv.gz"
    if not file.is_file():
        pytest.skip(f"the real report is not here: {file.name}; set FAIRLEAD_DATA")
    with gzip.open(file, "rt", encoding="utf-8-sig", newline="") as lines:
        header = next(csv.reader(lines))
    proposal = TmallReport().propose(header)
    assert proposal is not None
    assert len(proposal) == 7
