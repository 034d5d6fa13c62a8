"""Capability ``messages``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from fairlead.plugins.contracts.channel import OutgoingMessage, SendLimits, SendResult, SendState
from fairlead.plugins.errors import PluginError
from fairlead.plugins.manifest import Capability
from fairlead.plugins.quality import BadQuality, read_quality
from fairlead.testing.harness import ChannelHarness, default_channel_harness
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()


@CHECKS.add(capability=Capability.MESSAGES)
def names_who_it_reaches(subject: Subject) -> None:
    """address_kinds names the identity kinds it can reach, and idempotent says true or false."""
    kinds = subject.thing.address_kinds
    require(isinstance(kinds, tuple) and kinds, f"address_kinds is {kinds!r}; give a tuple such as ('phone',)")
    require(all(isinstance(kind, str) and kind for kind in kinds), f"address_kinds is {kinds!r}; give texts")
    require(
        isinstance(subject.thing.idempotent, bool), f"idempotent is {subject.thing.idempotent!r}; say True or False"
    )


@CHECKS.add(capability=Capability.MESSAGES)
def says_where_addresses_go(subject: Subject) -> None:
    """A channel that sends says which country addresses go to, or its quality says why none leaves the machine."""
    try:
        exempt = read_quality(subject.module, subject.manifest).rules.get("region", "").startswith("exempt")
    except BadQuality as error:
        broken(str(error))
    require(
        bool(subject.manifest.region) != exempt,
        "a channel that sends gives addresses away: write manifest.region (a country, or ANYWHERE when the settings "
        "decide); only where nothing leaves the machine it is empty and quality says region = 'exempt: <why>'",
    )


@CHECKS.add(capability=Capability.MESSAGES, twin=True)
def limits_are_sane(subject: Subject) -> None:
    """limits() gives a batch of at least 1 and a positive, finite rate."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        limits = subject.thing.limits(harness.context)
    where = subject.where(subject.thing.limits)
    require(isinstance(limits, SendLimits), f"limits() gave {limits!r}; return SendLimits ({where})")
    require(1 <= limits.batch <= 100_000, f"limits() gave a batch of {limits.batch}; it must be 1 to 100000 ({where})")
    require(
        0 < limits.per_second < math.inf, f"limits() gave {limits.per_second} per second; it must be positive ({where})"
    )


@CHECKS.add(capability=Capability.MESSAGES, twin=True)
def send_answers_for_each_message_in_order(subject: Subject) -> None:
    """send() returns one SendResult per message, in the order given, with the message's key."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        results = try_send(subject, harness, harness.messages)
    where = subject.where(subject.thing.send)
    keys = [message.key for message in harness.messages]
    require(
        len(results) == len(keys),
        f"send() gave {len(results)} results for {len(keys)} messages; give one each ({where})",
    )
    require(
        [result.key for result in results] == keys,
        f"send() answered for {[result.key for result in results]} instead of {keys}; keep order and keys ({where})",
    )
    for result in results:
        require(isinstance(result.state, SendState), f"send() gave the state {result.state!r} ({where})")
        good = result.state is SendState.SENT
        require(
            good, f"the twin accepts {result.key!r}, but send() says {result.state.value}: {result.reason} ({where})"
        )


@CHECKS.add(capability=Capability.MESSAGES, twin=True)
def send_reaches_the_far_side_once(subject: Subject) -> None:
    """What send() calls sent has arrived at the twin, once."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        if harness.delivered is None:
            return
        results = try_send(subject, harness, harness.messages)
        arrived = Counter(harness.delivered())
    sent = Counter(result.key for result in results if result.state is SendState.SENT)
    require(
        arrived == sent, f"send() says {sorted(sent.elements())} were sent; the twin took {sorted(arrived.elements())}"
    )


@CHECKS.add(capability=Capability.MESSAGES, twin=True)
def a_repeated_key_is_not_sent_twice(subject: Subject) -> None:
    """A channel that says it is idempotent delivers the same key once, however often it is sent."""
    if not subject.thing.idempotent:
        return
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        require(
            harness.delivered is not None,
            "the channel says it is idempotent; give the harness delivered=, so that this can be seen",
        )
        for _ in range(2):
            results = try_send(subject, harness, harness.messages)
            require(len(results) == len(harness.messages), "send() of a repeated key gave another number of results")
        arrived = Counter(harness.delivered() if harness.delivered else ())
    twice = sorted(key for key, count in arrived.items() if count > 1)
    require(not twice, f"the channel says it is idempotent, but the twin took {twice} more than once")


@CHECKS.add(capability=Capability.MESSAGES, twin=True)
def send_of_nothing_is_nothing(subject: Subject) -> None:
    """send() of no messages returns no results."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        results = try_send(subject, harness, [])
    require(not results, f"send() of no messages gave {len(results)} results")


def try_send(subject: Subject, harness: ChannelHarness, messages: Sequence[OutgoingMessage]) -> Sequence[SendResult]:
    """Send, and make a sentence of whatever is not a sequence of results."""
    where = subject.where(subject.thing.send)
    try:
        results = subject.thing.send(harness.context, messages)
    except PluginError as error:
        broken(f"send() to a good account raised {type(error).__name__}: {error.message} ({where})")
    if results is None or not isinstance(results, Sequence):
        broken(f"send() gave {type(results).__name__}; return a list with one SendResult per message ({where})")
    odd = next((result for result in results if not isinstance(result, SendResult)), None)
    if any(not isinstance(result, SendResult) for result in results):
        broken(f"send() put {odd!r} among its results; each must be a SendResult ({where})")
    return results
