"""Options as they are sent to a host: TOML has times and dates, and texts from ``${VAR}`` may stand
for numbers, which MessagePack does not tell from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any

import msgspec

from tocsin.core.config.environment import Interpolated
from tocsin.core.contracts.base import Secret

_UNPACK: dict[int, Callable[[str], Any]] = {
    1: Interpolated,
    2: datetime.fromisoformat,
    3: date.fromisoformat,
    4: time.fromisoformat,
    5: Secret,
    6: int,
}
"""By the code of the extension: what makes the value of its text."""


def pack(value: Any) -> Any:
    """Return options in a form that keeps their types on the way to a host."""
    if isinstance(value, Mapping):
        return {str(key): pack(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [pack(item) for item in value]
    if isinstance(value, Interpolated):
        return _extension(1, str.__str__(value))
    if isinstance(value, datetime):  # before date, of which it is a subclass
        return _extension(2, value.isoformat())
    if isinstance(value, date):
        return _extension(3, value.isoformat())
    if isinstance(value, time):
        return _extension(4, value.isoformat())
    if isinstance(value, Secret):
        return _extension(5, value.reveal())
    if isinstance(value, int) and value.bit_length() > 63:
        return _extension(6, str(value))
    return value


def _extension(code: int, text: str) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(code, text.encode())


def unpack(value: Any) -> Any:
    """Return the options that were packed."""
    if isinstance(value, dict):
        return {key: unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if isinstance(value, msgspec.msgpack.Ext):
        return _UNPACK[value.code](bytes(value.data).decode())
    return value
