"""What every channel promises, whatever it can do."""

from __future__ import annotations

from fairlead.plugins.contracts.channel import Health, HealthState
from fairlead.plugins.errors import PluginError
from fairlead.testing.fakes import SavedSettings
from fairlead.testing.harness import ChannelHarness, default_channel_harness
from fairlead.testing.subject import CheckList, Subject, broken, require

CHECKS = CheckList()


@CHECKS.add(twin=True)
def check_says_ok_and_changes_nothing(subject: Subject) -> None:
    """check() on a good account returns Health OK, twice the same, and saves nothing."""
    with subject.open(ChannelHarness, default_channel_harness) as harness:
        where = subject.where(subject.thing.check)
        try:
            seen = [subject.thing.check(harness.context) for _ in range(2)]
        except PluginError as error:
            broken(f"check() on a good account raised {type(error).__name__}: {error.message} ({where})")
        for health in seen:
            require(isinstance(health, Health), f"check() gave {health!r}; return a Health ({where})")
            require(isinstance(health.state, HealthState), f"check() gave the state {health.state!r} ({where})")
        require(seen[0].state is HealthState.OK, f"check() on a good account said {seen[0].state.value} ({where})")
        require(seen[0].state is seen[1].state, f"check() said {seen[0].state} and then {seen[1].state} ({where})")
        saved = harness.context.save_settings
        if isinstance(saved, SavedSettings):
            require(not saved, f"check() saved settings; it must cost nothing and change nothing ({where})")


@CHECKS.add()
def keeps_no_state(subject: Subject) -> None:
    """A channel is stateless: everything about an account comes in with the context."""
    fields = [name for name, value in vars(subject.thing).items() if isinstance(value, dict | list | set | bytearray)]
    require(
        not fields, f"{type(subject.thing).__name__} keeps {', '.join(fields)}; accounts of clients would mix in it"
    )
