"""Channels: those of the file, and those that the plan's environment variables describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tocsin.core.config.checks import MAX_CHECK_NAME, bad_name, enabled
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Catalog, Problems
from tocsin.core.config.find_plugin import find_plugin
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import ChannelSettings, GroupSettings
from tocsin.core.config.structure import build, construct
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.contracts import Secret
from tocsin.core.units import Seconds
from tocsin.core.verdicts import Severity

MAX_PORT = 65535
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


def port(text: str) -> int:
    """A TCP port as text. Raises ValueError."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError(f"expected a port from 1 to {MAX_PORT}, got {show(text)}")


def any_port(text: str) -> int:
    """A TCP port to listen on as text; 0 takes any that is free. Raises ValueError."""
    return 0 if text == "0" else port(text)


def make_channels(
    tables: Mapping[str, Any],
    env: Environment,
    catalog: Catalog,
    problems: Problems,
    warnings: list[str],
    group: GroupSettings,
) -> dict[str, ChannelSettings]:
    """Channels by name. Where the file has a channel, the environment does not add to it."""
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
        made = _channel(name, str(notifier), options, catalog, problems, group)
        if made is not None:
            channels[name] = made
    for name, found in (("telegram", _telegram(env)), ("email", _email(env))):
        if name in tables:
            continue
        if isinstance(found, str):
            warnings.append(f"{found} is not set: there is no {name} channel")
        elif found:
            made = _channel(name, name, found, catalog, problems, group)
            if made is not None:
                channels[name] = made
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


def _telegram(env: Environment) -> dict[str, Any] | str:
    """The options; empty where none is wanted; the variable that is missing."""
    token, chat = env.get("TELEGRAM_BOT_TOKEN"), env.get("TELEGRAM_CHAT_ID")
    if token and chat:
        options: dict[str, Any] = {"token": Secret(token), "chat_id": chat}
        if env.get("TELEGRAM_ALLOWED_USERS"):
            nobody: list[int] = []
            options["allowed_users"] = env.read("TELEGRAM_ALLOWED_USERS", _ids, nobody)
        return options
    if token or chat:
        return "TELEGRAM_CHAT_ID" if token else "TELEGRAM_BOT_TOKEN"
    return {}


def _ids(text: str) -> list[int]:
    """Ids of people, separated by commas. Raises ValueError."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"expected numbers separated by commas, got {show(text)}") from error


def _email(env: Environment) -> dict[str, Any] | str:
    """The options; empty where none is wanted; the variable that is missing."""
    host, to = env.get("SMTP_HOST"), env.get("ADMIN_EMAIL")
    user, password = env.get("SMTP_USER"), env.get("SMTP_PASSWORD")
    number = env.read("SMTP_PORT", port, 587)
    if host and to:
        options = {"host": host, "port": number, "to": [x.strip() for x in to.split(",")]}
        if user:
            options["user"] = user
        if password:
            options["password"] = Secret(password)
        return options
    if host or to:
        return "ADMIN_EMAIL" if host else "SMTP_HOST"
    return {}
