"""Text that is safe to show. Names, messages and log lines are untrusted.

Durations, sizes and time zones are formatted here, not with tocsin's own functions, because the
dashboard depends on tocsin's HTTP API only.

Streamlit interprets Markdown in labels, captions and badges: use :func:`plain` for these, and
:func:`clean` for components that show text unchanged.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_UNSAFE = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_MARKUP = set("\\`*_{}[]()<>#+-.!|~$^=&:@/\"'%")
_JOINER = "\u2060"
"""The invisible "word joiner", which prevents its neighbours from forming markup together."""


def clean(text: object, limit: int = 400) -> str:
    """Return a text as one line without control and bidi characters.

    Args:
        text: the text.
        limit: maximum length; a longer text is cut and ends with an ellipsis.
    """
    line = str(text).replace("\r\n", "\n").replace("\n", " ⏎ ").replace("\t", "    ")
    if not line.isprintable():
        line = "".join("�" if unicodedata.category(c) in _UNSAFE else c for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plain(text: object, limit: int = 400) -> str:
    """Return Markdown that shows a text literally, without any markup or links.

    Args:
        text: the text.
        limit: maximum length of the text shown.
    """
    out = []
    line = clean(text, limit)
    for n, c in enumerate(line):
        # Streamlit looks for icons, emoji and bare addresses after it has removed escapes.
        if (c == ":" and n + 1 < len(line) and not line[n + 1].isspace()) or c == "@":
            out.append(f"\\{c}{_JOINER}")
        elif c == "." and line[max(0, n - 3) : n].lower() == "www":
            out.append(f"{_JOINER}\\.")
        else:
            out.append(f"\\{c}" if c in _MARKUP else c)
    return "".join(out)


def duration(seconds: float | None) -> str:
    """Format a duration with its two largest units, such as ``7d 4h``."""
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
    """Format a number of bytes with a decimal unit, such as ``340 MB``."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if abs(value) < 999.5:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def percent(value: float | None, digits: int | None = None) -> str:
    """Format a percentage, such as ``12 %`` or ``3.4 %``."""
    if value is None:
        return "–"
    if digits is None:
        digits = 1 if 0 < value < 9.95 else 0
    return f"{value:.{digits}f} %"


def quantity(value: float | None, unit: str) -> str:
    """Format a number with its unit: ``%``, ``B`` for bytes, ``s`` for seconds, or any other."""
    if value is None:
        return "–"
    if unit == "%":
        return percent(value)
    if unit == "B":
        return size(value)
    if unit == "s":
        return f"{value * 1000:,.0f} ms" if abs(value) < 1 else duration(value)
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
    return f"{number} {unit}".strip()


def share(value: float | None) -> str:
    """Format an availability from 0 to 1 as ``99.95 %``; it is never rounded up to 100."""
    if value is None:
        return "no data"
    if value >= 1:
        return "100 %"
    return f"{int(value * 10000) / 100:.2f} %"


def moment(text: str | None) -> datetime | None:
    """Parse a time of the API."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def zone_of(name: str | None) -> tzinfo:
    """Return a time zone by its name, or UTC if the name is unknown."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def when(text: str | None, zone: tzinfo, now: datetime | None = None) -> str:
    """Format a time of the API: the time of day, and the date if it is not today."""
    at = moment(text)
    if at is None:
        return "never"
    local = at.astimezone(zone)
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%-d %b %H:%M}"


def ago(text: str | None, now: datetime | None = None) -> str:
    """Format how long ago a time of the API was."""
    at = moment(text)
    if at is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    return "just now" if seconds < 5 else f"{duration(seconds).split()[0]} ago"


def count(number: int, one: str, many: str | None = None) -> str:
    """Format a count with its noun, such as ``1 alert`` or ``2 alerts``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def said_of(alert_type: str, message: str) -> str:
    """Return an alert's title and message in a line; a title in the message is not repeated."""
    title = title_of(alert_type)
    return message if message.startswith(title) else f"{title}: {message}"


def title_of(alert_type: str) -> str:
    """Convert an alert type such as ``container_down`` to a title such as ``Container down``."""
    words = ["CPU" if word == "cpu" else word for word in alert_type.split("_")]
    title = " ".join(words)
    return clean(title[:1].upper() + title[1:], 60)
