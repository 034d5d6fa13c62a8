"""The registry of channel accounts: connect, change, pause, disconnect, and what an account is called with.

Settings that are secret are kept apart and sealed (:mod:`fairlead.governance.secrets`), and no function here returns
them; only :func:`fairlead.channels.connection.open_account` opens them, for the call of the plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from fairlead.channels.model import ACCOUNT_TYPES, PERMISSION_LEVELS, ChannelAccount
from fairlead.errors import Conflict, DomainError, InvalidInput, NotFound, Refusals
from fairlead.governance.audit import record, snapshot
from fairlead.governance.secrets import open_object, seal_object
from fairlead.plugins.manifest import Manifest
from fairlead.plugins.settings_schema import replace_settings, show, split_secrets, validate_settings
from fairlead.storage.locks import lock
from fairlead.work import Work

SECRETS = "channel_account.secrets"
PERMISSION = "channels:write"
_SHOWN = ("channel", "name", "platform", "account_type", "permission_level", "state", "health", "note")
_LONGEST = {"name": 80, "platform": 80, "owner": 80, "note": 2000}


def connect_account(
    work: Work,
    channel: str,
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    platform: str = "",
    account_type: str = "other",
    permission_level: str = "read",
    owner: str = "",
    note: str = "",
    planned: bool = False,
) -> ChannelAccount:
    """A new account on a channel that is on for the client.

    With ``planned`` it is only noted, and its settings may be incomplete; otherwise they must be acceptable to the
    plugin and the account is ``connected`` at once, its health unknown until it is checked. Raises ``PluginOff``,
    ``Refusals`` with the path of each bad field, or ``Conflict`` for a name that is taken within the channel.
    """
    work.actor.require(PERMISSION, work.client_id)
    manifest = work.plugins.channel(channel).manifest
    _check(
        account_type=account_type,
        permission_level=permission_level,
        name=name,
        platform=platform,
        owner=owner,
        note=note,
    )
    public, secrets = split_secrets(manifest.settings, settings or {})
    if not planned:
        validate_settings(manifest, public, secrets, path=("settings",))
    lock(work.session, f"channel accounts/{work.client_id}")
    _free_name(work, channel, name.strip())
    account = ChannelAccount(
        channel=channel,
        name=name.strip(),
        platform=platform.strip() or channel,
        account_type=account_type,
        permission_level=permission_level,
        state="planned" if planned else "connected",
        health="unknown",
        owner=owner.strip(),
        note=note,
        connected_at=None if planned else work.now,
        settings=public,
        created_at=work.now,
        changed_at=work.now,
    )
    work.session.add(account)
    work.session.flush()
    account.secrets = seal_object(work.vault, work.client_id, SECRETS, account.id, secrets)
    record(work, "channel_account.connected", "channel_account", account.id, None, snapshot(account, *_SHOWN))
    return account


def update_account(
    work: Work,
    account_id: int,
    *,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    platform: str | None = None,
    account_type: str | None = None,
    permission_level: str | None = None,
    owner: str | None = None,
    note: str | None = None,
) -> ChannelAccount:
    """Change what is given. ``settings`` is the whole form; a secret that is left out stays unless an address changes.

    New settings give a failed account another chance: it is ``connected`` again, its health unknown.
    """
    work.actor.require(PERMISSION, work.client_id)
    account = get_account(work, account_id, for_update=True)
    given = {
        "name": name,
        "platform": platform,
        "account_type": account_type,
        "permission_level": permission_level,
        "owner": owner,
        "note": note,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    _check(**changes)
    before = snapshot(account, *_SHOWN)
    if name is not None and name.strip() != account.name:
        lock(work.session, f"channel accounts/{work.client_id}")
        _free_name(work, account.channel, name.strip())
    for key, value in changes.items():
        setattr(account, key, value if key == "note" else value.strip())
    after: dict[str, Any] = {}
    if settings is not None:
        after["settings_changed"] = _replace_settings(work, account, settings)
        if account.state == "failed":
            account.state, account.health, account.health_at = "connected", "unknown", work.now
        _end_rest(account)
    account.changed_at = work.now
    record(
        work, "channel_account.changed", "channel_account", account.id, before, {**snapshot(account, *_SHOWN), **after}
    )
    return account


def pause_account(work: Work, account_id: int) -> ChannelAccount:
    """Stop using an account for a while: nothing is sent or fetched until it is resumed."""
    return _move(work, account_id, ("connected", "failed"), "paused", "channel_account.paused")


def resume_account(work: Work, account_id: int) -> ChannelAccount:
    """Use a planned, paused or failed account (again). Its settings must be acceptable to the plugin."""
    account = get_account(work, account_id)
    manifest = work.plugins.channel(account.channel).manifest
    validate_settings(manifest, account.settings, account_secrets(work, account), path=("settings",))
    account = _move(work, account_id, ("planned", "paused", "failed"), "connected", "channel_account.resumed")
    account.connected_at = account.connected_at or work.now
    account.health, account.health_at = "unknown", work.now
    _end_rest(account)
    return account


def disconnect_account(work: Work, account_id: int) -> ChannelAccount:
    """End the use of an account and throw its secrets away; what came in through it stays."""
    states = ("planned", "connected", "paused", "failed")
    account = _move(work, account_id, states, "disconnected", "channel_account.disconnected")
    account.secrets = None
    account.health, account.health_at = "unknown", work.now
    return account


def get_account(work: Work, account_id: int, *, for_update: bool = False) -> ChannelAccount:
    """The account; raises ``NotFound``. ``for_update`` reads it freshly and holds it until the end of the work."""
    query = sa.select(ChannelAccount).where(ChannelAccount.id == account_id)
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    account = work.session.scalars(query).one_or_none()
    if account is None:
        raise NotFound("there is no such channel account")
    return account


def find_account(work: Work, name: str) -> ChannelAccount:
    """The account with this name; raises ``NotFound``, and ``Conflict`` when two channels have one of that name."""
    found = work.session.scalars(sa.select(ChannelAccount).where(ChannelAccount.name == name).limit(2)).all()
    if not found:
        raise NotFound(f"there is no channel account {name!r}", next_step="connect it first")
    if len(found) > 1:
        raise Conflict(f"two channels have an account {name!r}", next_step="rename one of them")
    return found[0]


def list_accounts(
    work: Work, *, first: int = 20, after_id: int = 0, channel: str | None = None, state: str | None = None
) -> list[ChannelAccount]:
    """Accounts by id after ``after_id`` (keyset)."""
    query = sa.select(ChannelAccount).where(ChannelAccount.id > after_id).order_by(ChannelAccount.id).limit(first)
    if channel is not None:
        query = query.where(ChannelAccount.channel == channel)
    if state is not None:
        query = query.where(ChannelAccount.state == state)
    return list(work.session.scalars(query))


def show_account_settings(work: Work, account: ChannelAccount) -> dict[str, Any]:
    """The account's settings as a form shows them: a secret is only ``{"set": true}`` or ``{"set": false}``."""
    manifest = work.plugins.channel(account.channel).manifest
    return show(manifest.settings, account.settings, account_secrets(work, account))


def account_secrets(work: Work, account: ChannelAccount) -> dict[str, Any]:
    """The secret part of the settings, in clear; for calling the plugin, never for showing."""
    return open_object(work.vault, work.client_id, SECRETS, account.id, account.secrets)


def account_settings(work: Work, account: ChannelAccount, manifest: Manifest) -> Any:
    """An instance of the channel's settings model, secrets readable. Raises ``Refusals`` when it is not acceptable."""
    return validate_settings(manifest, account.settings, account_secrets(work, account), path=("settings",))


def _replace_settings(work: Work, account: ChannelAccount, settings: Mapping[str, Any]) -> list[str]:
    manifest = work.plugins.channel(account.channel).manifest
    old, old_secrets = dict(account.settings), account_secrets(work, account)
    public, secrets = replace_settings(manifest.settings, old, old_secrets, settings, path=("settings",))
    if account.state != "planned":
        validate_settings(manifest, public, secrets, path=("settings",))
    account.settings = public
    account.secrets = seal_object(work.vault, work.client_id, SECRETS, account.id, secrets)
    changed = [name for name in sorted(old.keys() | public.keys()) if old.get(name) != public.get(name)]
    return [*changed, "sealed part"] if secrets != old_secrets else changed


def _end_rest(account: ChannelAccount) -> None:
    """A person who has mended an account wants it used now."""
    account.fetch_after, account.send_after, account.send_failures = None, None, 0


def _move(work: Work, account_id: int, allowed: tuple[str, ...], state: str, action: str) -> ChannelAccount:
    work.actor.require(PERMISSION, work.client_id)
    account = get_account(work, account_id, for_update=True)
    if account.state == state:
        return account
    if account.state not in allowed:
        raise Conflict(f"the account is {account.state}", next_step=f"this needs one of: {', '.join(allowed)}")
    before = {"state": account.state}
    account.state, account.changed_at = state, work.now
    record(work, action, "channel_account", account.id, before, {"state": state})
    return account


def _free_name(work: Work, channel: str, name: str) -> None:
    known = work.session.scalar(
        sa.select(ChannelAccount.id).where(ChannelAccount.channel == channel, ChannelAccount.name == name)
    )
    if known is not None:
        raise Conflict("the channel has an account with this name", path=("name",), next_step="choose another name")


def _check(**given: str) -> None:
    errors: list[DomainError] = []
    for key, allowed in (("account_type", ACCOUNT_TYPES), ("permission_level", PERMISSION_LEVELS)):
        if key in given and given[key] not in allowed:
            errors.append(InvalidInput(f"choose one of {', '.join(allowed)}", path=(key,)))
    for key, longest in _LONGEST.items():
        text = given.get(key, "")
        if len(text) > longest or "\0" in text or not all(line.isprintable() for line in text.splitlines()):
            errors.append(InvalidInput(f"at most {longest} printable characters", path=(key,)))
    if "name" in given and not given["name"].strip():
        errors.append(InvalidInput("an account needs a name", path=("name",)))
    if errors:
        raise Refusals(errors)
