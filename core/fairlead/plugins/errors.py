"""The error ladder of plugins, ordered by what the core does next.

A plugin raises one of these and nothing else: the vendor's exception is the ``__cause__``, never the thing that crosses
the boundary. Messages reach operators and logs, so they never hold a secret or a person's data.

=====================  ====================================================================
raise                  the core then
=====================  ====================================================================
RetryLater             waits (``retry_after`` seconds, or its own back-off) and tries again
OutcomeUnknown         marks the message *unknown*; only a receipt, the platform's query call
                       or a person resolves it, it is never sent again by itself
FixCredentials         refreshes the credentials once, then stops the account and asks a person
FixSettings            stops the account until its settings change
SkipItem               records the refusal of this one item and goes on
SwitchChannel          records the refusal of this one item, as a person not reached here
Abort                  stops the whole piece of work and shows why
=====================  ====================================================================
"""

from __future__ import annotations


class PluginError(Exception):
    """Root of the ladder. ``code`` is the platform's own error code, when it gave one."""

    rung = "abort"

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


# -- try again ------------------------------------------------------------------------------------------------------


class RetryLater(PluginError):
    """Busy, rate limited or briefly broken, and the item surely had no effect."""

    rung = "retry_later"

    def __init__(self, message: str, *, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class OutcomeUnknown(PluginError):
    """The answer was lost after the request left: it may have had its effect, so a repeat could double it."""

    rung = "outcome_unknown"


# -- a person must act ----------------------------------------------------------------------------------------------


class FixCredentials(PluginError):
    """The token or key is expired, revoked or wrong."""

    rung = "fix_credentials"


class FixSettings(PluginError):
    """The account is configured in a way the platform refuses."""

    rung = "fix_settings"


# -- go on without it -----------------------------------------------------------------------------------------------


class SkipItem(PluginError):
    """This one item is refused for good; the others are fine."""

    rung = "skip_item"


class SwitchChannel(PluginError):
    """This person cannot be reached here; another channel may. No channel follows by itself yet."""

    rung = "switch_channel"


# -- stop -----------------------------------------------------------------------------------------------------------


class Abort(PluginError):
    """Going on would do harm."""

    rung = "abort"
