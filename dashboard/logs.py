"""Log lines: cleaned, searched, coloured by level, and escaped so that none acts as markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from attrs import frozen

from tocsin.dashboard.words import clean, moment

LEVELS = {"Error": "error", "Warning": "warn", "Info": "info", "Debug": "debug"}
"""Levels by their labels in the filter."""
_WORDS = {
    "error": "error", "err": "error", "fatal": "error", "critical": "error", "panic": "error",
    "crit": "error", "emerg": "error", "alert": "error", "severe": "error",
    "warn": "warn", "warning": "warn",
    "info": "info", "notice": "info", "log": "info", "information": "info",
    "debug": "debug", "trace": "debug", "verbose": "debug",
}  # fmt: skip
_LEVEL = re.compile(
    r"(?:^|[\s\[(<|\"'=:])(" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")"
    r"(?=$|[\s\])>|\"',:])",
    re.IGNORECASE,
)
_EARLY = 80
"""Number of characters at the start of a line that are searched for its level."""


@frozen
class Line:
    """A log line that is safe to show.

    Attributes:
        at: time, as the API writes it.
        text: the cleaned line.
        level: one of the values of :data:`LEVELS`, or empty.
        error: whether the line was written to stderr.
    """

    at: str | None
    text: str
    level: str
    error: bool


def level_of(text: str) -> str:
    """Return the level that a line names near its start, or "" if it names none."""
    found = _LEVEL.search(text[:_EARLY])
    return _WORDS[found[1].lower()] if found else ""


def read(items: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Convert log items of the API to lines that are safe to show."""
    lines = []
    for item in items:
        text = clean(item["text"], 2000)
        lines.append(Line(item["at"], text, level_of(text), item["stream"] == "stderr"))
    return lines


def select(lines: Sequence[Line], search: str, levels: Iterable[str]) -> list[Line]:
    """Return the lines that contain every word of a search and have one of the levels.

    Args:
        lines: the lines.
        search: words, separated by spaces; case is ignored.
        levels: the levels; if empty, lines of all levels are returned.
    """
    words = search.lower().split()
    wanted = set(levels)
    return [
        line
        for line in lines
        if (not wanted or line.level in wanted) and all(w in line.text.lower() for w in words)
    ]


def render(lines: Iterable[Line], zone: tzinfo, now: datetime | None = None) -> str:
    """Return lines as HTML, with all text escaped; lines of another day have a date."""
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    rows = []
    for line in lines:
        time = ""
        if at := moment(line.at):
            at = at.astimezone(zone)
            clock = f"{at:%H:%M:%S}" if at.date() == today else f"{at:%-d %b %H:%M:%S}"
            time = f'<time datetime="{at.isoformat()}">{clock}</time>'
        # Colour alone must not mark a line as an error: without a level, the stream is named.
        mark = "<b>stderr</b>" if line.error and not line.level else ""
        kind = line.level or ("warn" if line.error else "plain")
        rows.append(f'<div class="{kind}">{time}{mark}{html.escape(line.text)}</div>')
    return (
        '<section class="tocsin-logs" tabindex="0" aria-label="Log lines">'
        + "".join(rows)
        + "</section>"
    )
