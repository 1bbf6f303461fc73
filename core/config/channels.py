"""Channels: those of the file, and those that the plan's environment variables describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Problems
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts import Secret

MAX_PORT = 65535


def port(text: str) -> int:
    """A TCP port as text. Raises ValueError."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError(f"expected a port from 1 to {MAX_PORT}, got {show(text)}")


def any_port(text: str) -> int:
    """A TCP port to listen on as text; 0 takes any that is free. Raises ValueError."""
    return 0 if text == "0" else port(text)


def make_channels(
    tables: Mapping[str, Any], env: Environment, problems: Problems, warnings: list[str]
) -> dict[str, ChannelSettings]:
    """Channels by name. Where the file has a channel, the environment does not add to it."""
    channels = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            problems.add(("channels", name), f"expected a table, got {show(table)}")
            continue
        options = dict(table)
        enabled, notifier = options.pop("enabled", True), options.pop("notifier", name)
        if not isinstance(enabled, bool):
            message = f"expected true or false, got {show(enabled)}"
            problems.add(("channels", name, "enabled"), message)
        elif not isinstance(notifier, str):
            message = "expected the name of a notifier in quotes"
            problems.add(("channels", name, "notifier"), message)
        elif enabled:
            channels[name] = ChannelSettings(name=name, notifier=str(notifier), options=options)
    for name, found in (("telegram", _telegram(env)), ("email", _email(env))):
        if name in tables:
            continue
        if isinstance(found, str):
            warnings.append(f"{found} is not set: there is no {name} channel")
        elif found:
            channels[name] = ChannelSettings(name=name, notifier=name, options=found)
    return channels


def _telegram(env: Environment) -> dict[str, Any] | str:
    """The options; empty where none is wanted; the variable that is missing."""
    token, chat = env.get("TELEGRAM_BOT_TOKEN"), env.get("TELEGRAM_CHAT_ID")
    if token and chat:
        return {"token": Secret(token), "chat_id": chat}
    if token or chat:
        return "TELEGRAM_CHAT_ID" if token else "TELEGRAM_BOT_TOKEN"
    return {}


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
