"""What a channel's answer says about each message of a call: a stranger's objects, read with care."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fairlead.messaging.texts import LONGEST_REASON, fit_id, fit_text
from fairlead.plugins.contracts.channel import SendResult, SendState
from fairlead.plugins.errors import OutcomeUnknown, PluginError, RetryLater, SkipItem, SwitchChannel


def read_results(answer: object) -> dict[str, SendResult]:
    """The fate per key. A key with two fates has none, and what is no result does not count."""
    results: dict[str, SendResult] = {}
    torn: set[str] = set()
    for result in answer if isinstance(answer, Sequence) else ():
        if not _is_result(result):
            continue
        fit = replace(result, external_id=fit_id(result.external_id), reason=fit_text(result.reason, LONGEST_REASON))
        if results.setdefault(fit.key, fit).state is not fit.state:
            torn.add(fit.key)
    return {key: result for key, result in results.items() if key not in torn}


def result_of(key: str, results: dict[str, SendResult], error: PluginError | None) -> SendResult:
    """The fate of one message: its result, else what an error of the whole call means for it."""
    if key in results:
        return results[key]
    if isinstance(error, SkipItem | SwitchChannel):
        return SendResult(key, SendState.REFUSED, reason=fit_text(error.code or error.rung, LONGEST_REASON))
    if error is not None and not isinstance(error, OutcomeUnknown):
        # Nothing has left, and it was not the message's fault: no number of such calls makes it a failed one.
        return SendResult(key, SendState.NOT_TRIED, reason=error.rung)
    return SendResult(key, SendState.UNKNOWN, reason="no_answer")


def stops_account(error: PluginError | None) -> bool:
    """Whether an error is about the account and not about the messages of the call."""
    return error is not None and not isinstance(error, SkipItem | SwitchChannel)


def asked_wait(error: PluginError | None) -> float | None:
    """The seconds that a platform wants to be left alone, not yet checked for sense."""
    return error.retry_after if isinstance(error, RetryLater) else None


def _is_result(result: object) -> bool:
    return (
        isinstance(result, SendResult)
        and isinstance(result.key, str)
        and isinstance(result.state, SendState)
        and isinstance(result.external_id, str)
        and isinstance(result.reason, str)
        and (result.retry_after is None or isinstance(result.retry_after, int | float))
    )
