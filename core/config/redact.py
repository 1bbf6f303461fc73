"""Showing a configuration without its secrets."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from tocsin.core.config.settings import CheckSettings, Settings, SourceSettings
from tocsin.core.contracts import Secret

HIDDEN = "***"
_NAME = re.compile(
    r"pass(word|wd|phrase)?|token|secret|credential|authorization|api_?key|private_?key|cookie|dsn",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^\s/:@]*:)([^\s@/]+)(@)")


def is_secret_name(name: str) -> bool:
    """Whether a key's name says that its value is a secret."""
    return _NAME.search(name) is not None


def hide_in_text(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without passwords in URLs and without the given secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _URL_PASSWORD.sub(rf"\1{HIDDEN}\3", text)


def redacted(settings: Settings) -> dict[str, Any]:
    """The whole configuration as JSON-able data, defaults filled in, secrets hidden."""
    data: dict[str, Any] = _plain(settings, settings.secrets)
    data.pop("secrets")
    return data


def _plain(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, CheckSettings | SourceSettings):
        return _plugin(value, secrets)
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
    return value if isinstance(value, int | float | bool | None) else hide_in_text(str(value))


def _named(name: str, value: Any, secrets: frozenset[str]) -> Any:
    if name != "secrets" and is_secret_name(name) and isinstance(value, str):
        return HIDDEN
    return _plain(value, secrets)


def _plugin(value: CheckSettings | SourceSettings, secrets: frozenset[str]) -> dict[str, Any]:
    """A check or source: its plugin's options in full, or as written where it is broken."""
    instance = value.probe if isinstance(value, CheckSettings) else value.source
    options = _plain(value.options if instance is None else instance, secrets)
    shown = {"probe": value.probe_name, **options, "interval": value.interval}
    return shown if value.broken is None else {**shown, "broken": value.broken}
