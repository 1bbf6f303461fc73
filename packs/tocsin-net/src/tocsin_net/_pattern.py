"""Searches what a peer sent with regular expressions, with a time limit.

Python's ``re`` cannot be interrupted: an expression such as ``(a+)+$`` would block the event loop.
"""

from __future__ import annotations

from functools import lru_cache

import regex
from attrs import Attribute

from tocsin_net._trouble import Unusable

MOST = 16_384
"""Most characters of a text that are searched."""

LONGEST = 0.1
"""Seconds that a search may take."""


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def check_pattern(_: object, attribute: Attribute[str | None], value: str | None) -> None:
    """Validate a regular expression.

    Raises:
        ValueError: it is none.
    """
    if value is not None:
        try:
            _compiled(value)
        except (regex.error, RecursionError, OverflowError) as error:
            raise ValueError(f"{attribute.name} is not a regular expression: {error}") from None


def found(pattern: str, text: str) -> bool:
    """Return whether an expression matches anywhere in the first MOST characters of a text.

    Raises:
        Unusable: the search takes too long.
    """
    try:
        return _compiled(pattern).search(text[:MOST], timeout=LONGEST) is not None
    except TimeoutError:
        raise Unusable(
            f"{pattern!r} takes too long to match against the answer; write it without nested "
            "repetitions"
        ) from None
