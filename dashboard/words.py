"""Text that is safe to show. Names, messages and log lines are untrusted.

Durations, sizes and time zones are written here anew: the dashboard knows tocsin by its HTTP API.

Streamlit reads Markdown in labels, captions and badges: :func:`plain` is for what stands there,
:func:`clean` for components that show text as it is.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_UNSAFE = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_MARKUP = set("\\`*_{}[]()<>#+-.!|~$^=&:@/\"'%")
_JOINER = "\u2060"
"""Invisible; keeps what stands on both sides from being read as one word of markup."""


def clean(text: object, limit: int = 400) -> str:
    """One line without control and bidi characters, cut to a length."""
    line = str(text).replace("\r\n", "\n").replace("\n", " ⏎ ").replace("\t", "    ")
    if not line.isprintable():
        line = "".join("�" if unicodedata.category(c) in _UNSAFE else c for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plain(text: object, limit: int = 400) -> str:
    """A text as Markdown that shows it letter by letter: nothing in it is markup, nor a link."""
    out = []
    line = clean(text, limit)
    for n, c in enumerate(line):
        # Icons, emoji and bare addresses are looked for after escapes are undone.
        if (c == ":" and n + 1 < len(line) and not line[n + 1].isspace()) or c == "@":
            out.append(f"\\{c}{_JOINER}")
        elif c == "." and line[max(0, n - 3) : n].lower() == "www":
            out.append(f"{_JOINER}\\.")
        else:
            out.append(f"\\{c}" if c in _MARKUP else c)
    return "".join(out)


def duration(seconds: float | None) -> str:
    """The two largest units: ``7d 4h``."""
    if seconds is None:
        return "–"
    left = max(0, int(seconds))
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{name}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0")) or "0s"


def size(count: float | None) -> str:
    """Bytes for people: ``340 MB``."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if abs(value) < 999.5:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def percent(value: float | None, digits: int | None = None) -> str:
    """``12 %``, ``3.4 %``."""
    if value is None:
        return "–"
    if digits is None:
        digits = 1 if 0 < value < 9.95 else 0
    return f"{value:.{digits}f} %"


def share(value: float | None) -> str:
    """An availability from 0 to 1 as ``99.95 %``; never rounded up to 100."""
    if value is None:
        return "no data"
    if value >= 1:
        return "100 %"
    return f"{int(value * 10000) / 100:.2f} %"


def moment(text: str | None) -> datetime | None:
    """A time of the API."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def zone_of(name: str | None) -> tzinfo:
    """A time zone by its name; UTC where it is not known."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def when(text: str | None, zone: tzinfo, now: datetime | None = None) -> str:
    """A time of the API for people: the clock today, else the day too."""
    at = moment(text)
    if at is None:
        return "never"
    local = at.astimezone(zone)
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%-d %b %H:%M}"


def ago(text: str | None, now: datetime | None = None) -> str:
    """How long ago a time of the API was."""
    at = moment(text)
    if at is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    return "just now" if seconds < 5 else f"{duration(seconds).split()[0]} ago"


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 alert``, ``2 alerts``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def said_of(alert_type: str, message: str) -> str:
    """An alert in a line: its title and its message, which may begin with the title."""
    title = title_of(alert_type)
    return message if message.startswith(title) else f"{title}: {message}"


def title_of(alert_type: str) -> str:
    """``container_down`` as ``Container down``."""
    words = ["CPU" if word == "cpu" else word for word in alert_type.split("_")]
    title = " ".join(words)
    return clean(title[:1].upper() + title[1:], 60)
