"""What a notifier promises."""

from __future__ import annotations

from dataclasses import replace

from fairlead.plugins.contracts.notifier import Notice
from fairlead.plugins.errors import PluginError
from fairlead.testing.checks.faults import FAULTS, NOT_SENT, overhear
from fairlead.testing.fakes import START, FakeHttp
from fairlead.testing.harness import ChannelHarness, default_channel_harness
from fairlead.testing.samples import secret_values
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()

NOTICE = Notice(
    key="kit-1",
    type="import.finished",
    at=START,
    title="导入完成 Import finished",
    text="84287 rows, 3 refused <b>&",
    data={"rows": 84287, "refused": 3},
)


@CHECKS.add(twin=True)
def notify_delivers(subject: Subject) -> None:
    """notify() to a good target returns nothing; a long or empty text does not break it."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        where = subject.where(subject.thing.notify)
        for notice in (NOTICE, replace(NOTICE, key="kit-2", text="", data={}), replace(NOTICE, text="长" * 20_000)):
            try:
                result = subject.thing.notify(harness.context, notice)
            except PluginError as error:
                broken(f"notify() to a good target raised {type(error).__name__}: {error.message} ({where})")
            require(result is None, f"notify() gave {result!r}; return nothing, or raise from the ladder ({where})")


@CHECKS.add(twin=True)
def notify_tells_of_failure(subject: Subject) -> None:
    """When the far side fails, notify() raises from the ladder: no vendor exception, no silence, no secret in it."""
    with subject.open(ChannelHarness, default_channel_harness) as harness, overhear() as heard:
        secrets = secret_values(harness.context.settings)
        for fault, answer in FAULTS.items():
            http = FakeHttp(otherwise=answer)
            error: BaseException | None = None
            try:
                subject.thing.notify(replace(harness.context, http=http.client()), NOTICE)
            except (Exception, SystemExit) as raised:  # noqa: BLE001 - the check is about what comes out
                error = raised
            require(
                error is None or isinstance(error, PluginError),
                f"notify() let {type(error).__name__} out when the far side showed: {fault}",
            )
            require(
                error is not None or not http.requests or fault not in NOT_SENT,
                f"notify() returned as if all were well when the far side showed: {fault}",
            )
            require(not any(secret in str(error) for secret in secrets), "an error of notify() holds a secret")
        written = heard.text.getvalue()
        require(not any(secret in written for secret in secrets), "notify() wrote a secret to the log")
