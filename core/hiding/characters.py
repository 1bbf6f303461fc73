"""Removal of terminal sequences, control characters and invisible marks from texts."""

from __future__ import annotations

import re

VISIBLE = "�"
"""Replaces a character that must not be shown."""

# ECMA-48: CSI; OSC, DCS, SOS, PM, APC up to their end; other two-character sequences. Of an
# unterminated sequence only the introducer is removed, so that no text vanishes.
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
# These split a word invisibly: with them, a secret would not be recognized.
_INVISIBLE = re.compile(
    "[\x00\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180e\u200b-\u200d\u2060-\u2064\ufeff]"
)
# Printable according to Python, but invisible: they split a word as well.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_OVERSTRUCK = re.compile("([!-~])\x08(?=\\1)")
_WITHIN = re.compile(  # control characters within a word
    "(?<=[!-~])[\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u115f\u1160\u200e\u200f\u202a-\u202e"
    "\u2065-\u206f\u3164\uffa0\ufe00-\ufe0f\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f"
    "\U000e0100-\U000e01ef]{1,64}"
    "(?=[!-~])"
)
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
# Categories Cs, Cc (except tab and line feed) and Cf; a test compares this with unicodedata.
_HALVES = re.compile("[\ud800-\udfff]")
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f]"
)


def fit(text: str, *, lines: bool = False) -> str:
    """Return a text without terminal sequences, invisible characters, and control characters within
    a word, where they would hide a secret. Other control characters and bidirectional marks are
    replaced by ``�``, lone surrogates by ``?``.

    Args:
        text: the text.
        lines: whether to keep line ends and tabs; otherwise line ends are written as an escape.
    """
    if text.isprintable() and (text.isascii() or _BLANK.search(text) is None):
        return text
    if not text.isascii() or "\x1b" in text or "\x00" in text:
        text = _INVISIBLE.sub("", _SEQUENCES.sub("", text))
    text = _WITHIN.sub("", _OVERSTRUCK.sub("", _LINE_ENDS.sub("\n", text)))
    if not lines:
        text = text.replace("\t", "    ").replace("\n", "\\n")
    return _UNSAFE.sub(VISIBLE, _HALVES.sub("?", text))


def blanked(text: str) -> str | None:
    """Return a text with a space for each control character, as a reader sees it that ignores
    terminal sequences; None if there is none."""
    return _CONTROLS.sub(" ", text) if _CONTROLS.search(text) else None


def readings(text: str) -> set[str]:
    """Return the forms in which a text may be read without a terminal.

    A terminal sequence may swallow a letter that was meant as text, such as the first one of a
    secret. Complete sequences and those for colours do not count; others leave their last letter,
    with a space before it or without.
    """
    if "\x1b" not in text and "\x9b" not in text:
        return set()

    def reading(silent: re.Pattern[str], blank: str) -> str:
        def left(match: re.Match[str]) -> str:
            return "" if silent.fullmatch(match[0]) else blank + match[0][-1]

        return _SEQUENCES.sub(left, text)

    return {reading(silent, blank) for silent in _SILENT for blank in (" ", "")}


def visible(name: str) -> str:
    """Return a name in which every character is visible; different names mostly stay different."""
    if name.isprintable():
        return name
    return (
        _UNSAFE.sub(VISIBLE, _HALVES.sub("?", name)).replace("\n", VISIBLE).replace("\t", VISIBLE)
    )


def is_plain(text: str) -> bool:
    """Return whether a text is one line that :func:`fit` does not change."""
    return fit(text) == text
