"""What the formats of receivers share: JSON, times, and texts of limited length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tocsin import Message

Requests = Sequence[tuple[str, bytes]]
"""URL and body of each request."""


def to_json(value: Any) -> bytes:
    """Return a value as JSON."""
    return msgspec.json.encode(value, enc_hook=str)


def cut(text: str, longest: int) -> str:
    """Return a text that is cut to at most ``longest`` characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def utc(at: datetime) -> str:
    """Return a time of UTC as text."""
    return at.isoformat().replace("+00:00", "Z")


def heading_of(message: Message) -> str:
    """Return the title of a message with its icon."""
    return f"{message.words.icon} {message.words.title}".strip()


def paragraphs(message: Message, bold: str, escape: Callable[[str], str]) -> Iterator[str]:
    """Yield each section as lines, with its heading and labels between ``bold`` marks."""
    for section in message.words.sections:
        lines = [f"{bold}{escape(section.heading)}{bold}"] if section.heading else []
        for line in section.lines:
            label = f"{bold}{escape(line.label)}:{bold} " if line.label else ""
            lines.append(f"{line.icon} {label}{escape(line.text)}".strip())
        yield "\n".join(lines)


def pieces(text: str, longest: int) -> list[str]:
    """Split a text into pieces of at most ``longest`` characters, at line ends if possible."""
    found = [""]
    for line in text.split("\n"):
        rest = line
        while rest:
            if len(found[-1]) + len(rest) + 1 <= longest:
                found[-1] += rest + "\n"
                break
            if found[-1]:
                found.append("")
                continue
            at = longest - 1
            if "&" in rest[at - 6 : at]:  # do not split an entity such as &amp;
                at = rest.rindex("&", 0, at)
            found[-1], rest = rest[:at] + "\n", rest[at:]
        else:
            found[-1] += "\n" if found[-1] and len(found[-1]) < longest else ""
    return [piece.rstrip("\n") for piece in found if piece.strip()]
