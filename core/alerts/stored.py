"""Alerts and rows of the outbox as they lie on disk, also as the version before wrote them."""

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
"""What fields were called in 0.1; may go once no journal or database of it is taken over."""


def decode(data: bytes | str, kind: Any) -> Any:
    """An object out of the journal or the database.

    Args:
        data: JSON, as ``encoding.encode`` writes it.
        kind: the object's class; fields of an ``Alert`` or a ``Row`` may have their old names.

    Raises:
        msgspec.MsgspecError: it is no such object.
    """
    names = _OLD_NAMES.get(kind)
    if names is None:
        return msgspec.json.decode(data, type=kind)
    found = msgspec.json.decode(data)
    if isinstance(found, dict):
        found = {names.get(name, name): value for name, value in found.items()}
    return msgspec.convert(found, kind)
