"""The order report of Tmall and Taobao (天猫/淘宝订单报表): proposes which column is which field of an order.

The headers are those of the report that sellers download from the seller centre; some of its copies end a header in a
blank, so headers are compared without blanks at their ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fairlead.plugins import Kind, Manifest, Quality, Title, hookimpl
from fairlead.plugins.contracts.importer import Importer

FIELDS = {
    "订单编号": "order_id",
    "总金额": "amount",
    "买家实际支付金额": "paid_amount",
    "退款金额": "refund_amount",
    "收货地址": "receiver_region",
    "订单创建时间": "placed_at",
    "订单付款时间": "paid_at",
}
NEEDED = frozenset({"订单编号", "总金额", "订单创建时间"})


class TmallReport:
    """Recognises the report by its order number, total and creation time; further columns are left to the person."""

    fact = "orders"
    manifest = Manifest(
        name="tmall_report",
        kind=Kind.IMPORTER,
        version="1.0.0",
        title=Title("天猫订单报表", "Tmall order report"),
        description=Title(
            "识别天猫、淘宝卖家中心导出的订单报表", "Recognises the order report of Tmall's seller centre"
        ),
        quality=Quality(
            {"tried_on_a_real_file": "done", "readme_zh_en": "exempt: one file, described in its docstring"}
        ),
    )

    def propose(self, header: Sequence[str]) -> Mapping[str, str] | None:
        """Field by column, for the columns as they are spelled in ``header``."""
        clean = {column: column.replace("\ufeff", "").strip() for column in header}
        if not NEEDED.issubset(clean.values()) or len(set(clean.values())) < len(header):
            return None
        return {column: FIELDS[name] for column, name in clean.items() if name in FIELDS}


@hookimpl
def fairlead_register_importers(register: Callable[[Importer], None]) -> None:
    """Register the report."""
    register(TmallReport())
