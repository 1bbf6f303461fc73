"""Log lines: cleaned, searched, coloured by their level, and never markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from attrs import frozen

from tocsin.dashboard.words import clean, moment

LEVELS = {"Error": "error", "Warning": "warn", "Info": "info", "Debug": "debug"}
"""Levels by the words that people choose."""
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
"""Characters at a line's start in which its level is looked for."""


@frozen
class Line:
    """A line fit to be shown. ``level`` is one of the values of :data:`LEVELS`, or empty."""

    at: str | None
    text: str
    level: str
    error: bool


def level_of(text: str) -> str:
    """The level that a line names near its start; empty where it names none."""
    found = _LEVEL.search(text[:_EARLY])
    return _WORDS[found[1].lower()] if found else ""


def read(items: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Lines of the API."""
    lines = []
    for item in items:
        text = clean(item["text"], 2000)
        lines.append(Line(item["at"], text, level_of(text), item["stream"] == "stderr"))
    return lines


def select(lines: Sequence[Line], search: str, levels: Iterable[str]) -> list[Line]:
    """Lines that contain every word of a search and are of one of the levels (none: of any)."""
    words = search.lower().split()
    wanted = set(levels)
    return [
        line
        for line in lines
        if (not wanted or line.level in wanted) and all(w in line.text.lower() for w in words)
    ]


def render(lines: Iterable[Line], zone: tzinfo, now: datetime | None = None) -> str:
    """Lines as HTML, those of another day with their date. All that is not our own is escaped."""
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    rows = []
    for line in lines:
        time = ""
        if at := moment(line.at):
            at = at.astimezone(zone)
            clock = f"{at:%H:%M:%S}" if at.date() == today else f"{at:%-d %b %H:%M:%S}"
            time = f'<time datetime="{at.isoformat()}">{clock}</time>'
        # The word says what the colour says, for lines that came by the stream of errors alone.
        mark = "<b>stderr</b>" if line.error and not line.level else ""
        kind = line.level or ("warn" if line.error else "plain")
        rows.append(f'<div class="{kind}">{time}{mark}{html.escape(line.text)}</div>')
    return (
        '<section class="tocsin-logs" tabindex="0" aria-label="Log lines">'
        + "".join(rows)
        + "</section>"
    )
