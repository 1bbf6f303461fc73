"""Checks of what the routes of plugins answer."""

from __future__ import annotations

import msgspec

from tocsin.core.contracts.route import Route
from tocsin.core.plugin.faults import PluginFault

MAX_ANSWER = 4 * 1024 * 1024
"""Largest answer of a plugin's route, in bytes; a stream has no limit."""

MAX_CHUNK = 1024 * 1024
"""Largest chunk that a stream may yield, in bytes."""


def fit_answer(route: Route, answer: object) -> bytes:
    """Return the answer of a handler, encoded.

    Raises:
        PluginFault: it is not of the type that the handler declares, or too large.
        TypeError, UnicodeEncodeError: it cannot be encoded.
    """
    if not route.is_json:
        body = _text(answer, f"answered {type(answer).__name__} as {route.media}")
    else:
        body = msgspec.json.encode(answer)
        try:
            msgspec.json.decode(body, type=route.answer)
        except msgspec.ValidationError as error:
            raise PluginFault(f"answered with another type than it declares: {error}") from error
    if len(body) > MAX_ANSWER:
        raise PluginFault(f"answered with more than {MAX_ANSWER} bytes")
    return body


def fit_chunk(chunk: object) -> bytes:
    """Return a chunk of a stream as bytes.

    Raises:
        PluginFault: it is neither str nor bytes, or too large.
        UnicodeEncodeError: it is no valid text.
    """
    data = _text(chunk, f"yielded {type(chunk).__name__} from a stream")
    if len(data) > MAX_CHUNK:
        raise PluginFault(f"yielded more than {MAX_CHUNK} bytes at once")
    return data


def _text(value: object, what: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise PluginFault(f"{what}, not str or bytes")
    return value
