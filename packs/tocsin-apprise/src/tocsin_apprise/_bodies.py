"""Converts tocsin's rendered message to plain text, Markdown or HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from apprise import NotifyFormat

from tocsin import RenderedMessage

_MARKDOWN = re.compile(r"([\\`*_\[\]<>~|&])")
"""Characters that CommonMark and its dialects interpret anywhere in a line."""

_AT_START = re.compile(r"^(\s*)([#+=-]|\d{1,9}(?=[.)]))")
"""Beginnings of lines that CommonMark (0.31, section 4 and 5) reads as a heading, list or rule."""

_MENTION = re.compile(r"@(?=everyone|here|channel|all\b)", re.IGNORECASE)


def heading(words: RenderedMessage) -> str:
    """Return icon and title in one line of plain text."""
    return f"{words.icon} {words.title}".strip()


def body(words: RenderedMessage, form: NotifyFormat) -> str:
    """Return the sections of a message in a format, with all text escaped.

    The title is not part of it, unless there are no sections: Apprise sends no empty body.
    """
    write = {NotifyFormat.HTML: _html, NotifyFormat.MARKDOWN: _markdown}.get(form, _text)
    return write(words) or escape(heading(words), form)


def escape(text: str, form: NotifyFormat) -> str:
    """Return plain text so that it reads the same in a format."""
    if form is NotifyFormat.HTML:
        return html.escape(text, quote=False)
    if form is NotifyFormat.MARKDOWN:
        return _escape_markdown(text)
    return text


def _text(words: RenderedMessage) -> str:
    return _sections(words, "{}".format, "{}".format, "\n")


def _html(words: RenderedMessage) -> str:
    def bold(text: str) -> str:
        return f"<b>{html.escape(text, quote=False)}</b>"

    return _sections(words, bold, lambda text: html.escape(text, quote=False), "<br/>\n")


def _markdown(words: RenderedMessage) -> str:
    # Two blanks before a line end are a line break (CommonMark 0.31, 6.7).
    return _sections(words, lambda text: f"**{_escape_markdown(text)}**", _escape_markdown, "  \n")


def _sections(
    words: RenderedMessage,
    bold: Callable[[str], str],
    plain: Callable[[str], str],
    line_break: str,
) -> str:
    written: list[str] = []
    for section in words.sections:
        lines = [f"{section.icon} {bold(section.heading + ':')}".strip()] if section.heading else []
        for line in section.lines:
            label = bold(f"{line.label}:") if line.label else ""
            text = plain(line.text)
            lines.append(" ".join(part for part in (line.icon, label, text) if part))
        written.append(line_break.join(lines))
    return (line_break * 2).join(written)


def _escape_markdown(text: str) -> str:
    text = _MARKDOWN.sub(r"\\\1", text)
    # Apprise turns such words of a text into mentions, which wake a whole team. A word joiner
    # prevents that, and cannot be seen.
    text = _MENTION.sub("@\u2060", text)
    start = _AT_START.match(text)
    if start is None:
        return text
    rest = text[start.end() :]
    return (
        f"{start[1]}{start[2]}\\{rest}" if start[2].isdigit() else f"{start[1]}\\{start[2]}{rest}"
    )
