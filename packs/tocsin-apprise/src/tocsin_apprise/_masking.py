"""Removes the secrets of an Apprise URL from texts.

Any part of such a URL may be a secret: user, password, host (``discord://ID/TOKEN``), path, values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, unquote_plus

HIDDEN = "***"

_SHORTEST = 3
"""Characters; what is shorter is no secret, and would be found in every word."""

_ANYWHERE = 8
"""Characters from which on a part is also removed within a word, as in ``/botTOKEN/send``."""

_SEPARATORS = re.compile(r"[/?&=:@,;#+\s]+")
_PARAMETER = re.compile(r"([?&])([^=&?]*)=([^&]*)")

_HARMLESS = frozenset(
    (
        "auth", "cto", "emojis", "format", "image", "method", "mode", "optional", "overflow",
        "priority", "redirect", "retry", "rto", "store", "tz", "verify", "wait",
    )
)  # fmt: skip
"""Parameters whose values are words of Apprise's own, which would be missing in a sentence."""


class Mask:
    """Replaces all parts of URLs in a text.

    Args:
        urls: the URLs; the URL as written, and as Apprise understood it.
        known: parts that are not secret, such as the name of a server.
    """

    def __init__(self, urls: Iterable[str], known: Iterable[str]) -> None:
        harmless = {text.lower() for text in known}
        parts = {
            form
            for url in urls
            for part in _parts(url)
            if part.lower() not in harmless
            for form in (part, unquote(part), unquote_plus(part), quote(part, safe=""))
            if len(form) >= _SHORTEST and form.lower() not in harmless
        }
        forms = [
            re.escape(part)
            if len(part) >= _ANYWHERE
            else rf"(?<![A-Za-z0-9]){re.escape(part)}(?![A-Za-z0-9])"
            for part in sorted(parts, key=len, reverse=True)
        ]
        self._pattern = re.compile("|".join(forms), re.IGNORECASE) if forms else None

    def __call__(self, text: str) -> str:
        """Return the text with all parts of the URLs replaced by ``***``."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def __repr__(self) -> str:
        return "Mask()"


def _parts(url: str) -> Iterator[str]:
    yield url
    rest = url.partition("://")[2]
    place, mark, query = rest.partition("?")
    yield from _SEPARATORS.split(place)
    user_info, at, _ = place.rpartition("@")
    if at:  # a password may contain any separator
        yield from user_info.split(":", 1)
    yield from place.split("/")
    for _, name, value in _PARAMETER.findall(mark + query):
        if name.lower() not in _HARMLESS:
            yield value
            yield from _SEPARATORS.split(unquote_plus(value))
