"""Reading the orders that changed in a span of time, while they go on changing.

``taobao.trades.sold.increment.get`` lists trades by their last change, newest first, in pages. A trade that changes
during the reading leaves its window and all later rows move up by one, so that reading page 1, then page 2 would jump
over a row. Hence: windows end in the past (nothing new can enter them), pages are read from last to first (a row that
moves up is met again, not missed), and what is met again is dropped by trade and change. The trade that left is found
in the window of its new change.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from fairlead.plugins.contracts.channel import ChannelContext, OrderRecord, Window
from fairlead.plugins.errors import Abort, SkipItem
from fairlead_taobao.client import call
from fairlead_taobao.mapping import FIELDS, BadTrade, finished_refunds, from_utc, lines_of, to_fen, to_order
from fairlead_taobao.settings import TaobaoSettings

log = logging.getLogger(__name__)
LIST = "taobao.trades.sold.increment.get"
SECOND = dt.timedelta(seconds=1)
MOST_PAGES = 10_000


def read_orders(context: ChannelContext, window: Window) -> Iterator[Sequence[OrderRecord]]:
    """Yield the orders changed in ``window``, page by page, each state once. Raises from the ladder."""
    for piece in pieces(window, context.settings, context.now()):
        yield from _read_piece(context, piece)


def pieces(window: Window, settings: TaobaoSettings, now: dt.datetime) -> Iterator[Window]:
    """``window`` in whole seconds, begun earlier by the overlap, ended where changes have settled, cut to queries."""
    start = _next_second(window.start) - dt.timedelta(seconds=settings.overlap_seconds)
    settled = now.replace(microsecond=0) - dt.timedelta(seconds=settings.settle_seconds)
    end = min(_next_second(window.end), settled)
    # TOP takes at most a day; its bounds are both inclusive, so a full day would be one second too many.
    step = min(dt.timedelta(minutes=settings.window_minutes), dt.timedelta(days=1) - SECOND)
    while start < end:
        until = min(start + step, end)
        yield Window(start, until)
        start = until


def _next_second(at: dt.datetime) -> dt.datetime:
    whole = at.replace(microsecond=0)
    return whole if whole == at else whole + SECOND


def _read_piece(context: ChannelContext, piece: Window) -> Iterator[Sequence[OrderRecord]]:
    settings: TaobaoSettings = context.settings
    seen: set[tuple[str, dt.datetime]] = set()
    for page in range(_page_count(context, piece), 0, -1):
        answer = _list(context, piece, page, fields=FIELDS, use_has_next="true")
        fresh: list[OrderRecord] = []
        for trade in _trades(answer):
            order = _complete(context, settings, trade)
            if order is None or not piece.start <= order.updated_at < piece.end:
                continue
            state = (order.source_id, order.updated_at)
            if state not in seen:
                seen.add(state)
                fresh.append(order)
        if fresh:
            yield fresh


def _page_count(context: ChannelContext, piece: Window) -> int:
    """How many pages the piece has now; from the total, or by walking where the platform gives none."""
    settings: TaobaoSettings = context.settings
    too_many = Abort(f"{LIST} speaks of more than {MOST_PAGES} pages: set a smaller window_minutes for the account")
    total = _list(context, piece, 1, fields="tid", use_has_next="false").get("total_results")
    if isinstance(total, int | str) and str(total).isdecimal():
        if len(str(total)) > 12 or (pages := -(-int(total) // settings.page_size)) > MOST_PAGES:
            raise too_many
        return pages
    for page in range(1, MOST_PAGES + 1):
        if _list(context, piece, page, fields="tid", use_has_next="true").get("has_next") is not True:
            return page
    raise too_many


def _list(context: ChannelContext, piece: Window, page: int, *, fields: str, use_has_next: str) -> dict[str, Any]:
    settings: TaobaoSettings = context.settings
    params = {
        "fields": fields,
        "start_modified": from_utc(piece.start),
        "end_modified": from_utc(piece.end),
        "page_no": str(page),
        "page_size": str(settings.page_size),
        "use_has_next": use_has_next,
    }
    try:
        return call(context, LIST, params)
    except SkipItem as error:
        # A whole list is no item: going on would lose every order of the window.
        raise Abort(error.message, code=error.code) from error


def _trades(answer: dict[str, Any]) -> Sequence[dict[str, Any]]:
    trades = answer.get("trades")
    found = trades.get("trade") if isinstance(trades, dict) else None
    return [trade for trade in found if isinstance(trade, dict)] if isinstance(found, list) else []


def _complete(context: ChannelContext, settings: TaobaoSettings, trade: dict[str, Any]) -> OrderRecord | None:
    """The order of one listed trade, with details and refunds where the list has none; None for an unreadable one."""
    tid = str(trade.get("tid") or "")
    try:
        if tid and lines_of(trade) is None:
            detail = call(context, "taobao.trade.fullinfo.get", {"fields": FIELDS, "tid": tid}).get("trade")
            # The detail may already be a newer state; then its window will bring it, and this one keeps its own.
            if isinstance(detail, dict) and detail.get("modified") == trade.get("modified"):
                trade = {**trade, **detail}
    except SkipItem as error:
        log.info("taobao trade %s has no details: %s", tid, error.code)
    try:
        refunded = None
        if settings.fetch_refunds:
            refunded = sum(_refund_fee(context, *refund) for refund in finished_refunds(trade).items())
        return to_order(trade, app_key=settings.app_key, refund_amount=refunded)
    except BadTrade as error:
        log.warning("taobao trade %s is left out: %s", tid, error)
        return None


def _refund_fee(context: ChannelContext, refund_id: str, paid: int) -> int:
    """What was given back by a refund; what was paid for its lines where the platform does not tell."""
    if not refund_id:
        return paid
    try:
        answer = call(context, "taobao.refund.get", {"fields": "refund_id,refund_fee,status", "refund_id": refund_id})
    except SkipItem as error:
        log.info("taobao refund is not readable: %s", error.code)
        return paid
    refund = answer.get("refund")
    return to_fen(refund.get("refund_fee"), "refund_fee") if isinstance(refund, dict) else paid
