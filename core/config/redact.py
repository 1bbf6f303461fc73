"""Showing a configuration without its secrets."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from tocsin.core.alerts.silences import Window
from tocsin.core.config.hide import HIDDEN, hide_in_text, is_secret_name
from tocsin.core.config.settings import (
    ChannelSettings,
    CheckSettings,
    RuleSettings,
    ServiceSettings,
    Settings,
    SourceSettings,
)
from tocsin.core.contracts import Secret

__all__ = ["HIDDEN", "hide_in_text", "is_secret_name", "redacted", "secrets_in"]


def redacted(settings: Settings) -> dict[str, Any]:
    """The whole configuration as JSON-able data, defaults filled in, secrets hidden."""
    data: dict[str, Any] = _plain(settings, settings.secrets)
    data.pop("secrets")
    return data


def secrets_in(value: Any) -> Iterator[str]:
    """The plain text of every :class:`Secret` in a structure."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            if field.init:
                yield from secrets_in(getattr(value, field.name, None))
    elif isinstance(value, Mapping):
        yield from (secret for item in value.values() for secret in secrets_in(item))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (secret for item in value for secret in secrets_in(item))


def _plain(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, CheckSettings | SourceSettings):
        return _plugin(value, secrets)
    if isinstance(value, RuleSettings):
        return {"rule": value.rule_name, **_plain(value.table, secrets)}
    if isinstance(value, ChannelSettings):
        return _channel(value, secrets)
    if isinstance(value, ServiceSettings):
        options = value.options if value.service is None else value.service
        shown = _plain(options, secrets)
        return shown if value.broken is None else {**shown, "broken": value.broken}
    if isinstance(value, Window):
        return {
            **_plain(attrs.asdict(value, recurse=False), secrets),
            "matchers": [str(m) for m in value.matchers],
        }
    if attrs.has(type(value)):
        return {
            field.name: _named(field.name, getattr(value, field.name), secrets)
            for field in attrs.fields(type(value))
            if field.init
        }
    if isinstance(value, Mapping):
        return {str(key): _named(str(key), item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, secrets) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return hide_in_text(str.__str__(value), secrets)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    return value if isinstance(value, int | float | None) else hide_in_text(str(value), secrets)


def _named(name: str, value: Any, secrets: frozenset[str]) -> Any:
    if name != "secrets" and is_secret_name(name) and value and not isinstance(value, bool):
        return HIDDEN
    return _plain(value, secrets)


def _channel(value: ChannelSettings, secrets: frozenset[str]) -> dict[str, Any]:
    """A channel: its notifier's options in full, or as written where it is broken."""
    shown = {
        field.name: _plain(getattr(value, field.name), secrets)
        for field in attrs.fields(ChannelSettings)
        if field.name not in ("name", "notifier", "notifier_name", "options", "plugin", "broken")
    }
    options = value.options if value.notifier is None else value.notifier
    shown = {"notifier": value.notifier_name, **_plain(options, secrets), **shown}
    return shown if value.broken is None else {**shown, "broken": value.broken}


def _plugin(value: CheckSettings | SourceSettings, secrets: frozenset[str]) -> dict[str, Any]:
    """A check or source: its plugin's options in full, or as written where it is broken."""
    instance = value.probe if isinstance(value, CheckSettings) else value.source
    options = _plain(value.options if instance is None else instance, secrets)
    shown = {"probe": value.probe_name, **options, "interval": value.interval}
    return shown if value.broken is None else {**shown, "broken": value.broken}
