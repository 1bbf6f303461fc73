"""Converts messages to Telegram's HTML (https://core.telegram.org/bots/api#html-style).

All values are escaped. They are cut before that, so that no entity is split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from tocsin import Line, LogLine, RenderedMessage

LIMIT = 4096
"""Maximum UTF-16 code units of a message. Telegram does not count the markup; tocsin does."""

RULE = "━" * 21
MORE = "…"

_COMMAND = re.compile(r"^((?:\d+\. )?[^:]{1,80}: )((?:docker|tocsin|du) .+)$")


def units(text: str) -> int:
    """Return the length as Telegram counts it: in UTF-16 code units."""
    return len(text) + sum(char > "\uffff" for char in text)


def fit(text: str, longest: int) -> str:
    """Cut a plain text so that it has at most ``longest`` units once it is escaped."""
    if units(escape(text)) <= longest:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if units(escape(text[:middle])) + 1 <= longest:
            low = middle
        else:
            high = middle - 1
    return text[:low] + MORE


def _line(line: Line, longest: int = 1500) -> str:
    text = fit(line.text, longest)
    if line.label:
        said = f"<b>{escape(line.label)}:</b> {escape(text)}"
    elif found := _COMMAND.match(text):
        said = f"{escape(found[1])}<code>{escape(found[2])}</code>"
    else:
        said = escape(text)
    return f"{escape(line.icon)} {said}" if line.icon else said


def lines_of(words: RenderedMessage) -> Iterator[str]:
    """Yield the lines of a message; each closes the HTML elements that it opens."""
    yield f"<b>{escape(fit(f'{words.icon} {words.title}'.strip(), 600))}</b>"
    yield RULE
    for number, section in enumerate(words.sections):
        if number:
            yield ""
        if section.heading:
            head = f"<b>{escape(fit(section.heading, 300))}:</b>"
            yield f"{escape(section.icon)} {head}" if section.icon else head
        for line in section.lines:
            yield _line(line)


def parts(lines: Iterable[str], most: int, limit: int = LIMIT) -> list[str]:
    """Join lines to at most ``most`` messages; an ellipsis at the end marks missing lines."""
    made = [""]
    for line in lines:
        longer = f"{made[-1]}\n{line}" if made[-1] else line
        if units(longer) + len(MORE) + 1 <= limit:
            made[-1] = longer
        elif len(made) == most:
            made[-1] += f"\n{MORE}"
            break
        else:
            made.append(line)
    return made


def log_text(target: str, lines: Iterable[LogLine]) -> str:
    """Return the last log lines of a target; if not all fit, the newest of them."""
    head = f"<b>📜 {escape(fit(target, 300))}</b>"
    kept: list[str] = []
    room = LIMIT - units(head) - len("\n<pre></pre>") - 1
    for line in reversed(list(lines)):
        text = escape(fit(line.text, min(1000, room - 1))) if room > 20 else ""
        if not text or units(text) + 1 > room:
            break
        kept.append(text)
        room -= units(text) + 1
    if not kept:
        return f"{head}\nIt wrote nothing."
    return f"{head}\n<pre>" + "\n".join(reversed(kept)) + "</pre>"


def plain(html: str) -> str:
    """Remove the markup from tocsin's HTML, for a server that cannot parse it."""
    text = re.sub(r"</?(?:b|i|code|pre)>", "", html)
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'")):
        text = text.replace(entity, char)
    return text.replace("&amp;", "&")
