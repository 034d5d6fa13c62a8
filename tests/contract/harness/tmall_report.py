"""The header of the report, as the seller centre writes it."""

from __future__ import annotations

from fairlead.testing import ImporterHarness


def harness() -> ImporterHarness:
    """Two of its names end in a blank."""
    return ImporterHarness(
        ["订单编号", "总金额", "买家实际支付金额", "收货地址 ", "订单创建时间", "订单付款时间 ", "退款金额"]
    )
