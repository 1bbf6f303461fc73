"""Channels, from the file and from environment variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import evolve, frozen

from tocsin.core.config.checks import MAX_CHECK_NAME, bad_name, enabled
from tocsin.core.config.core_settings import GroupSettings
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Catalog, Problems
from tocsin.core.config.find_plugin import find_plugin
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.config.structure import build, construct
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.config.variables import defined_channels, given_options, required_variables
from tocsin.core.contracts.rule import Severity
from tocsin.core.units import Seconds

_OURS = (
    "min_severity", "hold", "window", "batch", "max_messages", "per", "fallback", "give_up_after",
)  # fmt: skip


@frozen(kw_only=True)
class _ChannelTable:
    min_severity: Severity | None = None
    hold: Seconds | None = None
    window: Seconds | None = None
    batch: Seconds | None = None
    max_messages: int = 20
    per: Seconds = 60
    fallback: str | None = None
    give_up_after: Seconds = 86400


def make_channels(
    tables: Mapping[str, Any],
    env: Environment,
    catalog: Catalog,
    problems: Problems,
    warnings: list[str],
    group: GroupSettings,
    named: Collection[str] = (),
) -> dict[str, ChannelSettings]:
    """Build the channels, by name.

    A table with the name of its notifier is merged with what the environment gives; the table
    takes precedence.

    Args:
        tables: the file's ``[channels.NAME]``.
        env: the environment.
        catalog: the plugins.
        problems: collects what is wrong.
        warnings: collects what is no error but should be known.
        group: defaults for grouping notifications into messages.
        named: the channels and notifiers that rules name.
    """
    channels: dict[str, ChannelSettings] = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            problems.add(("channels", name), f"expected a table, got {show(table)}")
            continue
        if reason := bad_name(name, MAX_CHECK_NAME):
            problems.add(("channels", name), reason)
            continue
        options = dict(table)
        if not enabled(options, ("channels", name), problems):
            continue
        notifier = options.pop("notifier", name)
        if not isinstance(notifier, str):
            message = "expected the name of a notifier in quotes"
            problems.add(("channels", name, "notifier"), message)
            continue
        if notifier == name and (entry := catalog.notifiers.get(name)) is not None:
            given = _given(name, entry.cls, options, env, problems, warnings)
            if given is None:
                continue
            options = {**options, **given}
        made = _channel(name, str(notifier), options, catalog, problems, group)
        if made is not None:
            channels[name] = made
    for name in defined_channels(catalog.notifiers):
        if name in tables:
            continue
        if given := _given(name, catalog.notifiers[name].cls, {}, env, problems, warnings):
            made = _channel(name, name, given, catalog, problems, group)
            if made is not None:
                channels[name] = made
    _add_lost(channels, tables, named, catalog, problems, group)
    _widen(channels, tables)
    for channel in channels.values():
        if channel.broken is not None:
            warnings.append(f"channel {channel.name} cannot be used: {channel.broken}")
        if channel.fallback is not None and channel.fallback not in channels:
            problems.add(
                ("channels", channel.name, "fallback"),
                f"no channel is called {channel.fallback!r}; "
                f"{did_you_mean(channel.fallback, channels)}",
            )
    return channels


def _add_lost(
    channels: dict[str, ChannelSettings],
    tables: Mapping[str, Any],
    named: Collection[str],
    catalog: Catalog,
    problems: Problems,
    group: GroupSettings,
) -> None:
    """Add the channels that are named, but whose notifier was not loaded.

    Environment variables may define them. They cannot be used, so that what is for them goes to
    another channel.
    """
    fallbacks = {channel.fallback for channel in channels.values() if channel.fallback is not None}
    known = {*channels, *tables, *(channel.notifier_name for channel in channels.values())}
    for name in sorted({*named, *fallbacks} - {*known, *catalog.notifiers, "*"}):
        if bad_name(name, MAX_CHECK_NAME) is None and catalog.missing(name) is not None:
            made = _channel(name, name, {}, catalog, problems, group)
            if made is not None:
                channels[name] = made


def _widen(channels: dict[str, ChannelSettings], tables: Mapping[str, Any]) -> None:
    """Lower the least severity to warning if all channels would take critical alerts only.

    Otherwise warnings would reach no channel: e-mail takes critical alerts only by default.
    Channels whose severity the file sets are left alone.
    """
    able = {c.name: c.notifier for c in channels.values() if c.notifier is not None}
    if all(
        channels[name].min_severity is notifier.min_severity is Severity.CRITICAL
        for name, notifier in able.items()
    ):
        for name in able:
            if "min_severity" not in tables.get(name, ()):
                channels[name] = evolve(channels[name], min_severity=Severity.WARNING)


def _channel(
    name: str,
    notifier: str,
    options: dict[str, Any],
    catalog: Catalog,
    problems: Problems,
    group: GroupSettings,
) -> ChannelSettings | None:
    path = ("channels", name)
    own = {key: value for key, value in options.items() if key not in _OURS}
    ours = {key: value for key, value in options.items() if key in _OURS}
    said = build(_ChannelTable, ours, path, problems)
    entry, broken = find_plugin("notifier", notifier, catalog, (*path, "notifier"), problems)
    instance = None
    if entry is not None:
        instance, broken = construct(entry.cls, own, path, problems)
    if said is None or (instance is None and broken is None):
        return None
    if said.max_messages < 1:
        problems.add((*path, "max_messages"), "must be at least 1")
    if said.per <= 0:
        problems.add((*path, "per"), "must be more than 0 s")
    least, batch = Severity.INFO, None
    if entry is not None:
        least, batch = entry.cls.min_severity, entry.cls.batch
    return ChannelSettings(
        name=name,
        notifier_name=notifier,
        plugin=None if entry is None else entry.plugin,
        notifier=instance,
        broken=broken,
        options=own,
        min_severity=least if said.min_severity is None else said.min_severity,
        hold=group.hold if said.hold is None else said.hold,
        window=group.window if said.window is None else said.window,
        batch=batch if said.batch is None else said.batch,
        max_messages=said.max_messages,
        per=said.per,
        fallback=said.fallback,
        give_up_after=said.give_up_after,
    )


def _given(
    name: str, cls: Any, said: Mapping[str, Any], env: Environment, problems: Problems,
    warnings: list[str],
) -> dict[str, Any] | None:  # fmt: skip
    """Return the options that the environment gives to a channel.

    Args:
        name: name of the channel.
        cls: the class of the notifier of that name.
        said: the options that the file sets.
        env: the environment.
        problems: collects what is wrong.
        warnings: collects the variables that are missing.

    Returns:
        The options; None if the file leaves the channel to the environment and a variable is
            missing.
    """
    found = given_options(cls, said, ("channels", name), env, problems)
    required = required_variables(cls)
    missing = [variable for key, variable in required.items() if not {key} & {*found, *said}]
    if not missing or said.keys() - {*_OURS}:
        return found
    if said or len(missing) < len(required):
        verb = "is" if len(missing) == 1 else "are"
        warnings.append(f"{' and '.join(missing)} {verb} not set: there is no {name} channel")
    return None
