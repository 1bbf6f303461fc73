"""Text and JSON of what plugins and the world outside hand over, whatever is in it."""

from __future__ import annotations

import codecs
import re
from typing import Any

import msgspec

_CHARSET = re.compile(r"charset\s{0,9}=\s{0,9}[\"']?([a-z0-9._-]{1,40})", re.IGNORECASE)
_KNOWN = re.compile(
    r"utf-?(8|16|32)(-?[bl]e)?|(us-)?ascii|latin-?[1-9]|iso-?8859-1?[0-9]|(windows-|cp)125[0-8]"
    r"|koi8-[ru]|shift-?jis|sjis|cp932|euc-?(jp|kr)|cp949|gb(2312|k|18030)|big5(-?hkscs)?|tis-?620"
)
"""Character sets that are decoded, in lower case with hyphens: those that pages are written in.
Python's other codecs may take quadratic time (punycode, idna), run escapes or unpack archives."""

_MOST_WRONG = 10_000
"""Bytes that do not fit the character set, past which a text is not taken to be in it."""


def _bounded_replace(error: UnicodeError) -> tuple[str, int]:
    """U+FFFD for what does not fit, as ``replace`` does, but so often only: each is a callback."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.__dict__["wrong"] = error.__dict__.get("wrong", 0) + 1
    if wrong > _MOST_WRONG:
        raise error
    return "\ufffd", error.end


codecs.register_error("tocsin-replace", _bounded_replace)


def charset_of(content_type: str) -> str:
    """The character set that a Content-Type names; "" where it names none that can be used."""
    found = _CHARSET.search(content_type[:1000])
    name = found[1].lower().replace("_", "-") if found else ""
    return name if _KNOWN.fullmatch(name) else ""


def decode_text(raw: bytes, content_type: str = "") -> str:
    """Bytes that somebody else wrote, as text: in the character set that ``content_type`` names,
    where that is a usual one, else in UTF-8. What does not fit becomes U+FFFD. Never raises, and
    takes time in proportion to the length, whatever the bytes are."""
    if name := charset_of(content_type):
        try:
            return raw.decode(name, "tocsin-replace")
        except (LookupError, UnicodeDecodeError):
            pass
    return raw.decode("utf-8", "replace")


def encode(item: Any) -> bytes:
    """As JSON; what JSON does not know becomes text, half a character a question mark."""
    try:
        return msgspec.json.encode(item, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(whole(msgspec.to_builtins(item, enc_hook=_known)))


def _known(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else str(value)


def whole(value: Any) -> Any:
    """Return the value with each lone surrogate (from a file's name or a program's output), which
    cannot be encoded, replaced by a question mark; other text is returned as it is."""
    if type(value) is str:
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {whole(key): whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list | tuple) else value
