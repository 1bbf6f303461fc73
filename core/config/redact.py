"""Shows a configuration without its secrets."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tocsin.core.alerts.silences import Window
from tocsin.core.config.settings import (
    ChannelSettings,
    CheckSettings,
    HistorySettings,
    ReviewerSettings,
    RuleSettings,
    ServiceSettings,
    Settings,
    SourceSettings,
)
from tocsin.core.contracts.base import Secret
from tocsin.core.hiding import (
    HIDDEN,
    Known,
    clean_arguments,
    hide,
    is_secret_name,
    look_for,
    parts_of,
)


def redacted(settings: Settings) -> dict[str, Any]:
    """Return the configuration as JSON-compatible data, defaults filled in, secrets hidden."""
    data: dict[str, Any] = _plain(settings, Known(settings.secrets))
    data.pop("secrets")
    for texts in ("declared", "channels"):  # of plugins
        data["messages"].pop(texts)
    for name, reviewer in settings.reviewers.items():
        if reviewer.section is not None:
            data[reviewer.section] = data["reviewers"].pop(name)
    return data


def secrets_in(value: Any) -> Iterator[str]:
    """Yield the plain text of every :class:`Secret` in a structure."""
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


def secrets_of(tree: Any, settings: Settings, filled: Mapping[str, Sequence[str]]) -> set[str]:
    """Return all secrets of a configuration, and the parts of those that consist of several.

    Args:
        tree: the configuration as it was written.
        settings: the configuration as it was understood.
        filled: texts in which ``${VAR}`` was replaced, with the values inserted into each.
    """
    found = set(secrets_in(settings))
    for text in found & set(filled):
        found |= _secret_values(text, filled[text])
    _gather(tree, "", found)
    for section in ("channels", "deadman", "observers"):
        found.update(text for text in _texts(tree.get(section)) if "://" in text)
    return {part for secret in found for part in parts_of(secret) if part}


def _secret_values(text: str, values: Sequence[str]) -> set[str]:
    """Return the values in a secret text; in a URL, host, user and database are not secret."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return set(values)
    userinfo, _, place = rest.rpartition("@")
    secret = userinfo.partition(":")[2]
    if not scheme.startswith("postgres"):
        secret += place.partition("/")[2]
    return {value for value in values if value in secret}


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield str.__str__(tree)
    elif isinstance(tree, Mapping):
        yield from (text for item in tree.values() for text in _texts(item))
    elif isinstance(tree, list):
        yield from (text for item in tree for text in _texts(item))


def _gather(tree: Any, name: str, found: set[str]) -> None:
    """Add secrets that are recognised by the names of keys, in URLs, and in program arguments."""
    if isinstance(tree, Mapping):
        for key, item in tree.items():
            _gather(item, str(key), found)
    elif isinstance(tree, list):
        for item in tree:
            _gather(item, name, found)
        words = [str.__str__(item) for item in tree if isinstance(item, str)]
        look_for(" ".join(words), found.add)
        hidden = zip(words, clean_arguments(words), strict=True)
        # a secret may contain blanks
        found.update(word for word, shown in hidden if shown == HIDDEN)
    elif isinstance(tree, str):
        if is_secret_name(name):
            found.add(str.__str__(tree))
        look_for(str.__str__(tree), found.add)


def _plain(value: Any, known: Known) -> Any:
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, CheckSettings | SourceSettings):
        return _plugin(value, known)
    if isinstance(value, RuleSettings):
        return {"rule": value.rule_name, **_plain(value.table, known)}
    if isinstance(value, ChannelSettings):
        return _channel(value, known)
    if isinstance(value, ServiceSettings | ReviewerSettings):
        part = value.service if isinstance(value, ServiceSettings) else value.reviewer
        options = value.options if part is None else part
        shown = _plain(options, known)
        return shown if value.broken is None else {**shown, "broken": value.broken}
    if isinstance(value, HistorySettings):
        shown = _plain(value.options if value.store is None else value.store, known)
        return shown if value.broken is None else {**shown, "broken": value.broken}
    if isinstance(value, Window):
        return {
            **_plain(attrs.asdict(value, recurse=False), known),
            "matchers": [str(m) for m in value.matchers],
        }
    if attrs.has(type(value)):
        return {
            field.name: _named(field.name, getattr(value, field.name), known)
            for field in attrs.fields(type(value))
            if field.init
        }
    if isinstance(value, Mapping):
        return {str(key): _named(str(key), item, known) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        if len(value) > 1 and all(isinstance(item, str) for item in value):
            return [hide(item, known) for item in clean_arguments(list(value))]
        return [_plain(item, known) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return hide(str.__str__(value), known)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    return value if isinstance(value, int | float | None) else hide(str(value), known)


def _named(name: str, value: Any, known: Known) -> Any:
    if name != "secrets" and is_secret_name(name) and value and not isinstance(value, bool):
        return HIDDEN
    return _plain(value, known)


def _channel(value: ChannelSettings, known: Known) -> dict[str, Any]:
    """Return a channel with its notifier's options; if it is broken, with those as written."""
    shown = {
        field.name: _plain(getattr(value, field.name), known)
        for field in attrs.fields(ChannelSettings)
        if field.name not in ("name", "notifier", "notifier_name", "options", "plugin", "broken")
    }
    options = value.options if value.notifier is None else value.notifier
    shown = {"notifier": value.notifier_name, **_plain(options, known), **shown}
    return shown if value.broken is None else {**shown, "broken": value.broken}


def _plugin(value: CheckSettings | SourceSettings, known: Known) -> dict[str, Any]:
    """Return a check or source with its plugin's options; if it is broken, as written."""
    instance = value.probe if isinstance(value, CheckSettings) else value.source
    options = _plain(value.options if instance is None else instance, known)
    shown = {"probe": value.probe_name, **options, "interval": value.interval}
    return shown if value.broken is None else {**shown, "broken": value.broken}
