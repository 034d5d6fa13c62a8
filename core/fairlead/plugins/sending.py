"""For channels whose platform takes one message per call: a whole batch without losing what was already sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairlead.plugins.contracts.channel import OutgoingMessage, SendResult, SendState
from fairlead.plugins.errors import OutcomeUnknown, PluginError, RetryLater, SkipItem, SwitchChannel


def send_one_by_one(
    messages: Sequence[OutgoingMessage], send_one: Callable[[OutgoingMessage], str]
) -> list[SendResult]:
    """One result per message, in order. ``send_one`` returns the platform's id or raises from the ladder.

    ``OutcomeUnknown`` and ``SkipItem`` concern their message alone. Any other rung stops the batch: on the first
    message it is raised, later the messages that were not tried are answered RETRY, so that the core comes back with
    them and meets the error first.
    """
    results: list[SendResult] = []
    for message in messages:
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
            rest = messages[len(results) :]
            return [
                *results,
                *(SendResult(m.key, SendState.RETRY, reason=error.message, retry_after=wait) for m in rest),
            ]
    return results
