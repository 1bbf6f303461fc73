r"""Secrets in texts that were escaped on their way: by ``repr``, in JSON, in a URL, in HTML.

There ``\\nBearer abc`` is one word with the letter that names its line end. So such a text is also
read as it was before, and what is found there is hidden here.
"""

from __future__ import annotations

import re
from collections.abc import Set

from tocsin.core.hiding import shapes
from tocsin.core.hiding.known import Known, stands_out
from tocsin.core.hiding.names import HIDDEN

DEEPEST = 3
"""Times that a text may have been escaped over again."""

MOST = 50
"""Secrets that are hidden one by one in an escaped text; with more of them nothing is shown."""

_ESCAPE = re.compile(
    r"\\(?:([abefnrtv0])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}"
    r"|U([0-9A-Fa-f]{8})|([\"'\\/]))"
    r"|%([0-7][0-9A-Fa-f])|&(?:#(\d{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(quot|apos|amp|lt|gt|nbsp));"
)
_PART = re.compile(r"[^\s\"'\\,:=<>{}()\[\]]{6,}")  # what stays as it is when it is escaped twice
_ENTITIES = {"quot": '"', "apos": "'", "amp": "&", "lt": "<", "gt": ">", "nbsp": " "}


def look_for(text: str, found: shapes.Found | None = None) -> str:
    """A text without what looks like a secret, in it or in what it was before it was escaped."""
    return _look_for(text, found, DEEPEST)


def _look_for(text: str, found: shapes.Found | None, deep: int) -> str:
    if deep and ("\\" in text or "%" in text or "&" in text):
        before = _ESCAPE.sub(_character, text)
        if before != text:
            secrets: set[str] = set()
            _look_for(before, secrets.add, deep - 1)
            if found is not None:
                for secret in secrets:
                    found(secret)
            text = without(text, secrets)
    return shapes.look_for(text, found)


def _character(match: re.Match[str]) -> str:
    """What an escape stands for; a blank for what is no text."""
    letter, x, u, braced, long, itself, percent, decimal, hexadecimal, entity = match.groups()
    if letter is not None:
        return "\n" if letter in "nr" else "\t" if letter == "t" else " "
    if itself is not None:
        return itself
    if entity is not None:
        return _ENTITIES[entity]
    digits = x or u or braced or long or percent or hexadecimal
    code = int(decimal) if digits is None else int(digits, 16)
    character = chr(code) if code <= 0x10FFFF else " "
    return character if character.isprintable() or character == "\n" else " "


def without(text: str, secrets: Set[str]) -> str:
    """A text without secrets that were found in another form of it."""
    if not secrets:
        return text
    if len(secrets) > MOST:
        return HIDDEN
    parts = {part for secret in secrets for part in _PART.findall(secret)}
    text = Known(secrets | parts).hide(text)
    for secret in secrets:
        if not stands_out(secret) and secret.strip():  # a word: as long as it stands by itself
            text = re.sub(rf"(?:(?<!\w)|(?<=-[A-Za-z])){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text
