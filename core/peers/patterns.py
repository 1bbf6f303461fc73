"""Searches text with regular expressions from the configuration, with a time limit.

Python's own ``re`` cannot be interrupted and blocks the interpreter while it runs: ``(a+)+$`` on
forty letters blocks all of tocsin for years. ``regex`` supports the same expressions and a timeout.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from attrs import Attribute

from tocsin.core.contracts.model import CheckError

LONGEST_SHOWN = 60
"""Most characters of an expression that an error shows."""

AT_ONCE = 16_384
"""Most characters searched without a thread: ``regex`` checks its timeout only occasionally."""

BRIEFLY = 0.02
"""Seconds of CPU that a search may take on the event loop before it is repeated on a thread."""

PATIENCE = 0.5
"""Seconds of CPU that a search on a thread may take."""

_THREADS = ThreadPoolExecutor(4, "tocsin search")


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> Any:
    import regex  # imported only if needed: it is large, and few checks have an expression

    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


def check_pattern(_: object, attribute: Attribute[Any], value: str | None) -> None:
    """Validate an option that is a regular expression: ``field(validator=check_pattern)``.

    Args:
        attribute: the option.
        value: the expression; None is valid.

    Raises:
        ValueError: it is no regular expression. The text says where and why.
    """
    if value is not None:
        try:
            _compiled(value)
        except ValueError as error:
            shown = repr(value) if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]!r}…"
            raise ValueError(f"{attribute.name} = {shown} is {error}") from None


async def search_text(pattern: str, text: str) -> bool:
    """Return whether a regular expression matches anywhere in a text.

    The search takes about a second at most, and blocks the event loop for a few milliseconds only.

    Args:
        pattern: the expression.
        text: the text, of any length.

    Raises:
        CheckError: the search takes too long. The text has the remedy.
        ValueError: it is no regular expression; see :func:`check_pattern`.
    """
    search = _compiled(pattern).search
    if len(text) <= AT_ONCE:
        try:
            return bool(search(text, timeout=BRIEFLY))
        except TimeoutError:
            pass  # it may need more time than the event loop allows
    outcome = _THREADS.submit(search, text, timeout=PATIENCE, concurrent=True)
    try:
        return bool(await asyncio.wait_for(asyncio.wrap_future(outcome), PATIENCE + 0.3))
    except TimeoutError:
        raise CheckError(
            f"{pattern!r} takes too long to match against the answer; write it without nested "
            "repetitions"
        ) from None
