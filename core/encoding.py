"""JSON of what plugins and the world outside hand over, whatever is in it."""

from __future__ import annotations

from typing import Any

import msgspec


def encode(item: Any) -> bytes:
    """As JSON; what JSON does not know becomes text, half a character a question mark."""
    try:
        return msgspec.json.encode(item, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(whole(msgspec.to_builtins(item, enc_hook=_known)))


def _known(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else str(value)


def whole(value: Any) -> Any:
    """The same, with a question mark for each half of a character (a lone surrogate, from a file's
    name or a program's output), which nobody can write down. Whole text is given back as it is."""
    if type(value) is str:
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {whole(key): whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list | tuple) else value
