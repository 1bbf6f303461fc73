r"""Secrets in texts that were escaped on their way: by ``repr``, in JSON, in a URL, in HTML.

In such a text, ``\\nBearer abc`` is one word together with the letter of the line end. So the text
is also examined in its unescaped form, and the secrets found there are hidden in the original.
"""

from __future__ import annotations

import re
from collections.abc import Set

from tocsin.core.hiding import shapes
from tocsin.core.hiding.characters import blanked, fit
from tocsin.core.hiding.known import Known, stands_out
from tocsin.core.hiding.mask import Found
from tocsin.core.hiding.names import HIDDEN

DEEPEST = 3
"""Maximum number of times that a text may have been escaped."""

MOST = 50
"""Maximum number of secrets hidden one by one in an escaped text; with more, nothing is shown."""

_ESCAPE = re.compile(
    r"((?:\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2})+)|\\([abefnrtv])|\\([0-3][0-7]{2}|0)"
    r"|\\(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|U([0-9A-Fa-f]{8})|([\"'\\/]))"
    r"|&(?:#(\d{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(quot|apos|amp|lt|gt|nbsp));"
)
_LETTERS = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\n",
    "t": "\t",
    "v": "\v",
}
_PART = re.compile(r"[^\s\"'\\,:=<>{}()\[\]]{6,}")  # what does not change when it is escaped again
_BETWEEN = re.compile(r"""(['"])\s*,\s*\1""")
"""The separator of two words in a list."""
_ENTITIES = {"quot": '"', "apos": "'", "amp": "&", "lt": "<", "gt": ">", "nbsp": " "}


def look_for(text: str, found: Found | None = None) -> str:
    """Return a text without what looks like a secret, in it or in its unescaped form.

    Args:
        text: the text.
        found: called with each secret.
    """
    return _look_for(text, found, DEEPEST)


def _look_for(text: str, found: Found | None, deep: int) -> str:
    if deep and (secrets := _read(text, deep)):
        if found is not None:
            for secret in secrets:
                found(secret)
        text = without(text, secrets)
        left = (secret.replace(HIDDEN, "") for secret in _read(text, deep))
        if any(any(map(str.isalnum, secret)) for secret in left):  # it is not in the text literally
            return HIDDEN
    return shapes.look_for(text, found)


def _read(text: str, deep: int) -> set[str]:
    """Return what looks like a secret in a text after it was unescaped, or in a list of arguments
    after it was joined into a command line."""
    secrets: set[str] = set()
    if (line := _BETWEEN.sub(" ", text)) != text:
        _look_for(line, secrets.add, deep - 1)
    if "\\" in text or "%" in text or "&" in text:
        before = _ESCAPE.sub(_character, text)
        if before != text:
            _look_for(fit(before, lines=True), secrets.add, deep - 1)
            if (blank := blanked(before)) is not None:
                shapes.look_for(blank, secrets.add)
    return secrets


def _character(match: re.Match[str]) -> str:
    """Return the character that an escape sequence represents."""
    octets, letter, octal, u, braced, long, itself, decimal, hexadecimal, entity = match.groups()
    if octets is not None:
        raw = bytes.fromhex(re.sub(r"\\x|%", "", octets))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    if letter is not None:
        return _LETTERS[letter]
    if itself is not None:
        return itself
    if entity is not None:
        return _ENTITIES[entity]
    if octal is not None:
        return chr(int(octal, 8))
    code = int(decimal) if decimal is not None else int(u or braced or long or hexadecimal, 16)
    return chr(code) if code <= 0x10FFFF else " "


def without(text: str, secrets: Set[str]) -> str:
    """Return a text without secrets that were found in another form of it."""
    if not secrets:
        return text
    if len(secrets) > MOST:
        return HIDDEN
    parts = {part for secret in secrets for part in _PART.findall(secret)}
    text = Known(secrets | parts).hide(text)
    for secret in secrets:
        if not stands_out(secret) and secret.strip():  # a plain word: hidden as a whole word only
            text = re.sub(rf"(?:(?<!\w)|(?<=-[A-Za-z])){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text
