"""Records of history as JSON, for histories that keep them in files or databases."""

from __future__ import annotations

from typing import Any

import msgspec

from tocsin.core.contracts.history_records import (
    AlertRecord,
    NotificationRecord,
    Record,
    SilenceRecord,
)
from tocsin.core.contracts.model import AuditEntry, Event, Observation
from tocsin.core.encoding import encode

_KINDS: dict[str, type[Any]] = {
    "observation": Observation,
    "event": Event,
    "audit": AuditEntry,
    "alert": AlertRecord,
    "notification": NotificationRecord,
    "silence": SilenceRecord,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}


def kind_of(record: Record) -> str:
    """Return which kind of record it is: ``observation``, ``event``, ``audit``, ``alert``,
    ``notification`` or ``silence``.

    Args:
        record: the record.
    """
    return _NAMES[type(record)]


def pack(record: Record) -> bytes:
    """Return a record as JSON, which :func:`unpack` reads; times are in UTC.

    Args:
        record: the record.
    """
    return encode({"kind": kind_of(record), "record": record})


def unpack(packed: bytes | str) -> Record:
    """Return the record that :func:`pack` wrote. Fields that it lacks have their defaults, and
    fields that are no longer known are left out, so that records of other versions can be read.

    Args:
        packed: the JSON.

    Raises:
        ValueError: it is not such a record.
    """
    try:
        found = msgspec.json.decode(packed, type=dict[str, Any])
        record: Record = msgspec.convert(found["record"], _KINDS[found["kind"]])
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise ValueError(f"this is no record of history: {error}") from error
    return record
