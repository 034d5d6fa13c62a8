"""For channels whose platform takes one message per call: a whole batch without losing what was already sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairlead.plugins.contracts.channel import ChannelContext, OutgoingMessage, SendResult, SendState
from fairlead.plugins.errors import OutcomeUnknown, PluginError, RetryLater, SkipItem, SwitchChannel


def send_one_by_one(
    context: ChannelContext, messages: Sequence[OutgoingMessage], send_one: Callable[[OutgoingMessage], str]
) -> list[SendResult]:
    """One result per message, in order. ``send_one`` returns the platform's id or raises from the ladder.

    ``OutcomeUnknown``, ``SkipItem`` and ``SwitchChannel`` concern their message alone. Any other rung stops the batch:
    on the first message it is raised, later its message is answered RETRY and the rest NOT_TRIED, so that the core
    comes back with them and meets the error first. The rest is NOT_TRIED too when the time of the call is up.
    """
    results: list[SendResult] = []
    for message in messages:
        if context.is_time_up():
            return [*results, *not_tried(messages[len(results) :])]
        try:
            results.append(SendResult(message.key, SendState.SENT, external_id=send_one(message)))
        except OutcomeUnknown as error:
            results.append(SendResult(message.key, SendState.UNKNOWN, reason=error.message))
        except (SkipItem, SwitchChannel) as error:
            results.append(SendResult(message.key, SendState.REFUSED, reason=error.message))
        except PluginError as error:
            if not results:
                raise
            wait = error.retry_after if isinstance(error, RetryLater) else None
            results.append(SendResult(message.key, SendState.RETRY, reason=error.message, retry_after=wait))
            return [*results, *not_tried(messages[len(results) :], error.message, wait)]
    return results


def not_tried(messages: Sequence[OutgoingMessage], reason: str = "", wait: float | None = None) -> list[SendResult]:
    """The results of messages that the call did not come to; ``wait`` is in seconds."""
    return [SendResult(message.key, SendState.NOT_TRIED, reason=reason, retry_after=wait) for message in messages]
