"""Conversion of third-party data to text and JSON; it never fails, whatever the data are."""

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
"""Character sets that are decoded, in lower case with hyphens: those in use on web pages. Python's
other codecs may take quadratic time (punycode, idna), interpret escapes or decompress data.
"""

_MOST_WRONG = 10_000
"""Number of decoding errors above which a text is assumed to be in another character set."""


def _bounded_replace(error: UnicodeError) -> tuple[str, int]:
    """Replace invalid bytes with U+FFFD, as ``replace`` does, but only :data:`_MOST_WRONG` times.

    The number is limited because each error costs a call of this function.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.__dict__["wrong"] = error.__dict__.get("wrong", 0) + 1
    if wrong > _MOST_WRONG:
        raise error
    return "\ufffd", error.end


codecs.register_error("tocsin-replace", _bounded_replace)


def charset_of(content_type: str) -> str:
    """Return the character set that a Content-Type names; "" if it names no supported one."""
    found = _CHARSET.search(content_type[:1000])
    name = found[1].lower().replace("_", "-") if found else ""
    return name if _KNOWN.fullmatch(name) else ""


def decode_text(raw: bytes, content_type: str = "") -> str:
    """Decode third-party bytes; invalid ones become U+FFFD.

    This never raises, and takes linear time whatever the bytes are.

    Args:
        raw: the bytes.
        content_type: a Content-Type; if it names no supported character set, UTF-8 is used.
    """
    if name := charset_of(content_type):
        try:
            return raw.decode(name, "tocsin-replace")
        except (LookupError, UnicodeDecodeError):
            pass
    return raw.decode("utf-8", "replace")


def encode(item: Any) -> bytes:
    """Encode as JSON: unknown types as their text, a lone surrogate as a question mark."""
    try:
        return msgspec.json.encode(item, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(whole(msgspec.to_builtins(item, enc_hook=_known)))


def _known(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else str(value)


def whole(value: Any) -> Any:
    """Return the value with each lone surrogate in its texts replaced by a question mark.

    Lone surrogates come from file names and outputs of programs, and cannot be encoded.
    """
    if type(value) is str:
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {whole(key): whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list | tuple) else value
