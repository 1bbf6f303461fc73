"""Decoding of stored alerts and outbox rows, including those of the previous version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.outbox import Row

_OLD_NAMES: dict[type, dict[str, str]] = {
    Alert: {
        "armed": "firing_since",
        "carry": "rule_state",
        "ever_told": "ever_notified",
        "flaps_told": "flaps_notified",
        "heard": "notified_channels",
        "last_told": "last_notified",
        "owed": "deferred_channels",
        "told": "notified",
        "unheard": "undelivered",
    },
    Row: {"beside": "sibling_channels", "news": "first_notification"},
}
"""Field names of version 0.1; needed as long as its journals and databases are supported."""


def decode(data: bytes | str, kind: Any) -> Any:
    """Decode an object from the journal.

    Args:
        data: JSON, as ``encoding.encode`` writes it.
        kind: the object's class; an ``Alert`` or a ``Row`` may have its old field names.

    Raises:
        msgspec.MsgspecError: the data is not such an object.
    """
    if kind not in _OLD_NAMES:
        return msgspec.json.decode(data, type=kind)
    return convert(msgspec.json.decode(data), kind)


def convert(found: Any, kind: Any) -> Any:
    """Return an object of decoded JSON; see :func:`decode`.

    Raises:
        msgspec.MsgspecError: it is not such an object.
    """
    names = _OLD_NAMES.get(kind, {})
    if isinstance(found, Mapping):
        found = {names.get(name, name): value for name, value in found.items()}
    return msgspec.convert(found, kind)
