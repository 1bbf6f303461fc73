"""Searches text with regular expressions from the configuration, with a time limit.

Python's own ``re`` cannot be interrupted and blocks the interpreter while it runs: ``(a+)+$`` on
forty letters blocks all of tocsin for years. ``regex`` supports the same expressions and a timeout.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

from tocsin.plugins.probes._threads import in_thread

AT_ONCE = 16_384
"""Most characters searched without a thread: ``regex`` checks its timeout only occasionally."""

BRIEFLY = 0.02
"""Seconds of CPU that a search may take on the event loop before it is repeated on a thread."""

PATIENCE = 0.5
"""Seconds of CPU that a search on a thread may take."""


class TooSlow(Exception):
    """A search exceeded its time limit. The message contains the remedy."""


@lru_cache(maxsize=1000)
def compiled(pattern: str) -> Any:
    """Return the compiled expression.

    Raises:
        ValueError: the pattern is not a valid regular expression.
    """
    import regex  # imported only if needed: it is large, and few checks have an expression

    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


async def found(pattern: str, text: str) -> bool:
    """Return whether an expression matches anywhere in a text.

    Raises:
        TooSlow: the search did not finish within about a second.
    """
    search = compiled(pattern).search
    if len(text) <= AT_ONCE:
        try:
            return bool(search(text, timeout=BRIEFLY))
        except TimeoutError:
            pass  # it may need more time than the event loop allows
    outcome = in_thread(lambda: search(text, timeout=PATIENCE, concurrent=True), "search")
    try:
        return bool(await asyncio.wait_for(asyncio.wrap_future(outcome), PATIENCE + 0.3))
    except TimeoutError:
        raise TooSlow(
            f"{pattern!r} takes too long to match against the answer; write it without nested "
            "repetitions"
        ) from None
