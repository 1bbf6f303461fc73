"""Decoding of stored alerts and outbox rows, including those of the previous version."""

from __future__ import annotations

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
    """Decode an object from the journal or the database.

    Args:
        data: JSON, as ``encoding.encode`` writes it.
        kind: the object's class; an ``Alert`` or a ``Row`` may have its old field names.

    Raises:
        msgspec.MsgspecError: the data is not such an object.
    """
    names = _OLD_NAMES.get(kind)
    if names is None:
        return msgspec.json.decode(data, type=kind)
    found = msgspec.json.decode(data)
    if isinstance(found, dict):
        found = {names.get(name, name): value for name, value in found.items()}
    return msgspec.convert(found, kind)
