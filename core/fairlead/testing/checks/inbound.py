"""Capabilities ``orders``, ``webhooks`` and ``credentials``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from fairlead.plugins.contracts.channel import InboundOutcome, InboundRequest, OrderRecord, Window
from fairlead.plugins.errors import FixCredentials, PluginError
from fairlead.plugins.manifest import Capability
from fairlead.testing.checks.faults import try_call
from fairlead.testing.fakes import SavedSettings
from fairlead.testing.harness import ChannelHarness, default_channel_harness
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()


# -- orders ---------------------------------------------------------------------------------------------------------


@CHECKS.add(capability=Capability.ORDERS, twin=True)
def orders_are_well_formed(subject: Subject) -> None:
    """Each order has an id, aware UTC instants, a currency and whole minor units, and was changed in the window."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        orders = _sync(subject, harness, harness.window)
        require(orders, "the harness has a window without orders; give one in which the twin has some")
        for order in orders:
            _well_formed(order, harness.window)


@CHECKS.add(capability=Capability.ORDERS, twin=True)
def a_sync_can_be_repeated(subject: Subject) -> None:
    """The same window twice gives the same orders; two halves give what the whole gives."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        window = harness.window
        middle = window.start + (window.end - window.start) / 2
        first = _ids(_sync(subject, harness, window))
        require(first == _ids(_sync(subject, harness, window)), "sync_orders() of the same window gave other orders")
        halves = _ids(_sync(subject, harness, Window(window.start, middle)))
        halves |= _ids(_sync(subject, harness, Window(middle, window.end)))
        inside = {entry for entry in first if window.start <= entry[1]}
        lost = sorted(source for source, _ in inside - halves)
        require(not lost, f"sync_orders() of two halves of the window lost {lost[:3]} of the whole window")


def _sync(subject: Subject, harness: ChannelHarness, window: Window) -> list[OrderRecord]:
    pages = try_call(subject, "sync_orders", lambda: list(subject.thing.sync_orders(harness.context, window)))
    orders = []
    for page in pages:
        require(
            isinstance(page, Sequence) and all(isinstance(order, OrderRecord) for order in page),
            "sync_orders() must yield pages, each a list of OrderRecord",
        )
        orders += page
    return orders


def _ids(orders: Sequence[OrderRecord]) -> set[tuple[str, dt.datetime]]:
    return {(order.source_id, order.updated_at) for order in orders}


def _well_formed(order: OrderRecord, window: Window) -> None:
    name = f"order {order.source_id!r}"
    require(isinstance(order.source_id, str) and order.source_id, f"{name} has no source_id")
    for field in ("created_at", "updated_at", "paid_at"):
        at = getattr(order, field)
        require(
            (field == "paid_at" and at is None) or (isinstance(at, dt.datetime) and at.utcoffset() == dt.timedelta(0)),
            f"{name}: {field} is {at!r}; give an aware datetime in UTC",
        )
    # What changed a little before may come again: platforms show changes late, and a repeat does no harm.
    within = window.start - dt.timedelta(days=1) <= order.updated_at < window.end
    require(within, f"{name} was changed at {order.updated_at}, not in the window {window.start} to {window.end}")
    require(
        len(order.currency) == 3 and order.currency.isupper(), f"{name}: currency {order.currency!r} is not ISO 4217"
    )
    for field in ("amount", "paid_amount", "refund_amount"):
        amount = getattr(order, field)
        whole = isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0
        require(whole, f"{name}: {field} is {amount!r}; give whole minor units")
    for line in order.lines:
        require(isinstance(line.amount, int), f"{name}: a line's amount is {line.amount!r}; give whole minor units")
        require(line.quantity > 0, f"{name}: a line has the quantity {line.quantity}")


# -- webhooks -------------------------------------------------------------------------------------------------------


@CHECKS.add(capability=Capability.WEBHOOKS, twin=True)
def a_forged_request_is_refused(subject: Subject) -> None:
    """receive() raises FixCredentials for a request without a valid signature, however it is bent."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        for how, request in _forgeries(harness):
            try:
                outcome = subject.thing.receive(harness.context, request)
            except FixCredentials:
                continue
            except PluginError as error:
                broken(f"receive() raised {type(error).__name__} for a request {how}; raise FixCredentials")
            except Exception as error:  # noqa: BLE001 - a stranger's code; the sentence names what came
                broken(f"receive() let {type(error).__name__} out for a request {how}; raise FixCredentials")
            broken(f"receive() took a request {how} and gave {type(outcome).__name__}; raise FixCredentials")


@CHECKS.add(capability=Capability.WEBHOOKS, twin=True)
def a_genuine_request_is_taken(subject: Subject) -> None:
    """receive() takes a request signed by the platform, and names the delivery by the same dedupe_id each time."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        request = harness.genuine
        require(request is not None, "give the harness genuine=, a request signed as the platform signs it")
        outcomes = [
            try_call(subject, "receive", lambda: subject.thing.receive(harness.context, request)) for _ in range(2)
        ]
    for outcome in outcomes:
        require(isinstance(outcome, InboundOutcome), f"receive() gave {type(outcome).__name__}; return InboundOutcome")
        require(outcome.dedupe_id, "receive() gave an empty dedupe_id; a repeat could not be told from a new delivery")
    require(outcomes[0].dedupe_id == outcomes[1].dedupe_id, "receive() of the same delivery gave two dedupe_ids")


def _forgeries(harness: ChannelHarness) -> list[tuple[str, InboundRequest]]:
    empty = InboundRequest(method="POST", path="/", query={}, headers={}, body=b"")
    garbage = replace(empty, body=b"\xff\x00{]", headers={"content-type": "application/json"})
    forged = [("that is empty", empty), ("with a body of garbage", garbage)]
    real = harness.genuine
    if real is not None:
        forged.append(("without query and headers", replace(real, query={}, headers={})))
        if harness.signs_body:
            forged.append(("whose body has one more byte", replace(real, body=real.body + b" ")))
            forged.append(("whose body is gone", replace(real, body=b"")))
    return forged


# -- credentials ----------------------------------------------------------------------------------------------------


@CHECKS.add(capability=Capability.CREDENTIALS, twin=True)
def refresh_saves_before_it_returns(subject: Subject) -> None:
    """refresh() renews the token at the twin and hands it to save_settings before it returns."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        saved = SavedSettings()
        context = replace(harness.context, save_settings=saved)
        try_call(subject, "refresh", lambda: subject.thing.refresh(context))
        where = subject.where(subject.thing.refresh)
        require(saved.latest, f"refresh() returned without context.save_settings(...); the token is lost ({where})")
        unknown = sorted(saved.latest.keys() - subject.manifest.settings.model_fields.keys())
        require(not unknown, f"refresh() saved {', '.join(unknown)}, which the settings model does not have ({where})")
