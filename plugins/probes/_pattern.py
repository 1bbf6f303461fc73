"""Regular expressions of the configuration on texts of strangers, bounded in time.

Python's own ``re`` cannot be stopped and holds the interpreter while it runs: ``(a+)+$`` on forty
letters holds all of tocsin for years. ``regex`` knows the same expressions and takes a limit.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

from tocsin.plugins.probes._threads import in_thread

AT_ONCE = 16_384
"""Characters that are searched without a thread; ``regex`` looks at its limit now and then only."""

BRIEFLY = 0.02
"""Seconds of CPU that a search on the event loop may take, before a thread takes over."""

PATIENCE = 0.5
"""Seconds of CPU that a search on a thread may take."""


class TooSlow(Exception):
    """An expression did not come to an end. The message says what to do about it."""


@lru_cache(maxsize=1000)
def compiled(pattern: str) -> Any:
    """A compiled expression. Raises ValueError where it is none."""
    import regex  # it is large, and few checks have an expression

    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


async def found(pattern: str, text: str) -> bool:
    """Whether an expression matches somewhere in a text.

    Raises:
        TooSlow: it is not known after a second or so.
    """
    search = compiled(pattern).search
    if len(text) <= AT_ONCE:
        try:
            return bool(search(text, timeout=BRIEFLY))
        except TimeoutError:
            pass  # perhaps it needs more time than a loop has
    outcome = in_thread(lambda: search(text, timeout=PATIENCE, concurrent=True), "search")
    try:
        return bool(await asyncio.wait_for(asyncio.wrap_future(outcome), PATIENCE + 0.3))
    except TimeoutError:
        raise TooSlow(
            f"{pattern!r} takes too long on what was answered; write it without repetitions within "
            "repetitions"
        ) from None
