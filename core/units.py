"""Durations, sizes and time zones as people write them: ``"1h30m"``, ``"500MB"``, ``"UTC"``."""

from __future__ import annotations

import re
import zoneinfo
from typing import Annotated, Literal

Seconds = Annotated[float, "duration"]
"""A duration in seconds. In ``tocsin.toml``: a number, or text such as ``"90s"`` or ``"1h30m"``."""

Bytes = Annotated[int, "size"]
"""A size in bytes. In ``tocsin.toml``: a whole number, or text such as ``"500MB"``, ``"2GiB"``."""

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {
    "": 1,
    "b": 1,
    **{p + "b": 1000**i for i, p in enumerate(("k", "m", "g", "t"), start=1)},
    **{p + "ib": 1024**i for i, p in enumerate(("k", "m", "g", "t"), start=1)},
}
_BYTE_UNITS = {1000: ("B", "kB", "MB", "GB", "TB"), 1024: ("B", "KiB", "MiB", "GiB", "TiB")}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(?:/[A-Za-z0-9_+-]{1,40}){0,2}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")


_LONGEST = 100
"""Most characters that are parsed: the patterns take quadratic time, and long numbers overflow."""


def _too_long(value: object) -> bool:
    if isinstance(value, str):
        return len(value) > _LONGEST
    return isinstance(value, int) and value.bit_length() > 300


def _shown(value: object) -> str:
    return "a number that long" if _too_long(value) else repr(value)


def parse_duration(value: object) -> Seconds:
    """Turn ``30``, ``"30"``, ``"30s"`` or ``"1h30m"`` into seconds.

    Raises:
        ValueError: the value is not a duration, or negative; the message says how to write one.
    """
    wrong = ValueError(
        f"{_shown(value)} is not a duration; write seconds or text such as '30s' or '1h30m'"
    )
    if isinstance(value, bool) or not isinstance(value, int | float | str) or _too_long(value):
        raise wrong
    if isinstance(value, str):
        text = value.strip()
        try:
            number = float(text)
        except ValueError:
            sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
            parts = _DURATION_PART.findall(text)
            if not parts or _DURATION_PART.sub("", text):
                raise wrong from None
            number = sign * sum(float(count) * _SECONDS[unit] for count, unit in parts)
    else:
        try:
            number = float(value)
        except OverflowError:
            raise ValueError("a number with so many digits is not a duration") from None
    if number < 0:
        raise ValueError(f"{_shown(value)} is negative; write seconds or text such as '30s'")
    if not number < 1e10:  # also rejects nan and inf
        raise wrong
    return number


def parse_size(value: object) -> Bytes:
    """Turn ``1024``, ``"500MB"`` (powers of 1000) or ``"2GiB"`` (powers of 1024) into bytes.

    Raises:
        ValueError: the value is not a size, or negative; the message says how to write one.
    """
    wrong = ValueError(
        f"{_shown(value)} is not a size; write bytes or text such as '500MB' or '2GiB'"
    )
    if _too_long(value):
        raise wrong
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _BYTES:
        raise wrong
    return int(float(match[1]) * _BYTES[match[2].lower()])


def format_bytes(size: float, step: Literal[1000, 1024] = 1024) -> str:
    """Format bytes for people: ``"512 B"``, ``"1.4 GiB"``; with steps of 1000 ``"1.4 GB"``."""
    unit, *larger = _BYTE_UNITS[step]
    while abs(size) >= step and larger:
        size /= step
        unit, *larger = larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def format_duration(seconds: float) -> str:
    """Format seconds for people: ``"7d 4h"``, ``"3m 20s"``, ``"850ms"``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    rest = int(seconds)
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    for (unit, size), (lower, smaller) in zip(units, (*units[1:], ("", 1)), strict=True):
        count, below = divmod(rest, size)
        if count:
            more = below // smaller if lower else 0
            return f"{count}{unit} {more}{lower}" if more else f"{count}{unit}"
    return "0s"


def format_count(count: int, noun: str) -> str:
    """Format a number with its noun for people: ``"1 alert"``, ``"2 alerts"``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the time zone with this name in the IANA database; ZoneInfo caches them.

    Only names that the database can contain are looked up: ZoneInfo turns a name into a package to
    import.

    Raises:
        ValueError: there is no such time zone; the message says how to write one.
    """
    if _ZONE.fullmatch(name):
        try:
            return zoneinfo.ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
    raise ValueError(f"there is no time zone {name!r}; write one such as 'Europe/Berlin'")
