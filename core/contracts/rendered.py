"""A rendered message: the structure of a template's text, before a notifier formats it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

# An icon is anything before the first letter, digit, quote or bracket that a person would not type.
_ICON = re.compile(r"^([^\w\s\"'`(\[{<#*~.,;:!?/\\=+|&%$@-]\S{0,7})\s+(.*)$", re.DOTALL)
_LABEL = re.compile(r"^([A-Z][\w '()-]{0,30}): +(\S.*)$", re.DOTALL)


@frozen(kw_only=True)
class Line:
    """A line such as ``📦 Container: web``.

    Attributes:
        text: in this example, ``web``.
        label: ``Container``; may be empty.
        icon: ``📦``; may be empty.
    """

    text: str
    label: str = ""
    icon: str = ""

    def __str__(self) -> str:
        said = f"{self.label}: {self.text}" if self.label else self.text
        return f"{self.icon} {said}" if self.icon else said


@frozen(kw_only=True)
class Section:
    """Lines that belong together.

    Attributes:
        lines: the lines.
        heading: their heading, without a colon; may be empty.
        icon: the icon of the heading; may be empty.
    """

    lines: tuple[Line, ...]
    heading: str = ""
    icon: str = ""


@frozen(kw_only=True)
class RenderedMessage:
    """A whole message of plain text without control characters; a notifier has to escape it.

    Attributes:
        title: its first line.
        icon: the icon of the title; may be empty.
        sections: what follows the title; an empty line separates sections.
    """

    title: str
    icon: str = ""
    sections: tuple[Section, ...] = ()

    @property
    def text(self) -> str:
        """Return the whole message as plain text."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.icon} {self.title}" if self.icon else self.title
        for number, section in enumerate(self.sections):
            if number:
                yield ""
            if section.heading:
                yield f"{section.icon} {section.heading}:".strip()
            yield from (str(line) for line in section.lines)


def read(text: str) -> RenderedMessage:
    """Return the structure of a template's text: the first line is the title, empty lines separate
    sections, and a first line that ends in a colon is a section's heading."""
    blocks: list[list[str]] = [[]]
    title = ""
    for raw in text.splitlines():
        stripped = raw.strip()
        if not title:
            title = stripped
        elif stripped:
            blocks[-1].append(stripped)
        elif blocks[-1]:
            blocks.append([])
    icon, title = _icon(title)
    sections = []
    for block in blocks:
        head, head_icon = "", ""
        if len(block) > 1 and block[0].endswith(":"):
            head_icon, head = _icon(block.pop(0)[:-1])
        if block:
            lines = tuple(_line(line) for line in block)
            sections.append(Section(lines=lines, heading=head, icon=head_icon))
    return RenderedMessage(title=title or "tocsin", icon=icon, sections=tuple(sections))


def _icon(text: str) -> tuple[str, str]:
    found = _ICON.match(text)
    return (found[1], found[2]) if found else ("", text)


def _line(text: str) -> Line:
    icon, rest = _icon(text)
    found = _LABEL.match(rest)
    if found:
        return Line(icon=icon, label=found[1], text=found[2])
    return Line(icon=icon, text=rest)
