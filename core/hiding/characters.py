"""Removal of terminal sequences, control characters and invisible marks from texts."""

from __future__ import annotations

import re

VISIBLE = "�"
"""Stands for a character that must not be shown."""

# ECMA-48: CSI; OSC, DCS, SOS, PM, APC up to their end; other two-character sequences. What never
# ends loses its introducer alone, so that no text vanishes.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}+[ -/]{0,8}+[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])(?:[^\x07\x1b\x9c\n]{0,4096}+(?:\x07|\x1b\\|\x9c))?"
    r"|\x1b[ -/]{0,8}+[0-~]?"
)
_OPERATING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[\s\S]*"
_SILENT = (
    re.compile(rf"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|{_OPERATING}"),
    re.compile(rf"(?:\x1b\[|\x9b)[0-9;:]*m|{_OPERATING}"),
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# They split a word without a trace: with them a secret would pass for another text.
_INVISIBLE = re.compile(
    "[\x00\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180e\u200b-\u200d\u2060-\u2064\ufeff]"
)
# Printable for Python, and nothing to be seen: they split a word as well.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_OVERSTRUCK = re.compile("([!-~])\x08(?=\\1)")
_WITHIN = re.compile(  # a word
    "(?<=[!-~])[\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u115f\u1160\u200e\u200f\u202a-\u202e"
    "\u2065-\u206f\u3164\uffa0\ufe00-\ufe0f\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f"
    "\U000e0100-\U000e01ef]{1,64}"
    "(?=[!-~])"
)
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
# Category Cs; Cc (but for tab and line feed) and Cf. A test holds this to unicodedata.
_HALVES = re.compile("[\ud800-\udfff]")
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f]"
)


def fit(text: str, *, lines: bool = False) -> str:
    """A text without terminal sequences and invisible characters, nor controls within a word, where
    they would hide a secret; others and bidi marks stand out as ``�``, halves of characters as
    ``?``. Line ends are written out as an escape, unless the text may have ``lines``; then tabs
    stay as well."""
    if text.isprintable() and (text.isascii() or _BLANK.search(text) is None):
        return text
    if not text.isascii() or "\x1b" in text or "\x00" in text:
        text = _INVISIBLE.sub("", _SEQUENCES.sub("", text))
    text = _WITHIN.sub("", _OVERSTRUCK.sub("", _LINE_ENDS.sub("\n", text)))
    if not lines:
        text = text.replace("\t", "    ").replace("\n", "\\n")
    return _UNSAFE.sub(VISIBLE, _HALVES.sub("?", text))


def blanked(text: str) -> str | None:
    """A text with a blank for each control, as who reads no terminal sequences reads it; None for
    one without any."""
    return _CONTROLS.sub(" ", text) if _CONTROLS.search(text) else None


def readings(text: str) -> set[str]:
    """A text as those read it who have no terminal: a sequence may take a letter with it that was
    meant, as the first of a secret. Sequences that are complete, or that colour, say nothing;
    others leave their last letter, with a blank before it or without."""
    if "\x1b" not in text and "\x9b" not in text:
        return set()

    def reading(silent: re.Pattern[str], blank: str) -> str:
        def left(match: re.Match[str]) -> str:
            return "" if silent.fullmatch(match[0]) else blank + match[0][-1]

        return _SEQUENCES.sub(left, text)

    return {reading(silent, blank) for silent in _SILENT for blank in (" ", "")}


def visible(name: str) -> str:
    """A name in which every character can be seen; two that differ stay apart, mostly."""
    if name.isprintable():
        return name
    return (
        _UNSAFE.sub(VISIBLE, _HALVES.sub("?", name)).replace("\n", VISIBLE).replace("\t", VISIBLE)
    )


def is_plain(text: str) -> bool:
    """Whether a text is one line without anything that :func:`fit` changes."""
    return fit(text) == text
