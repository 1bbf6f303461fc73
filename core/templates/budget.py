"""What a rendering of a template may cost: a budget of steps, and limits on texts and lists."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.exceptions import SecurityError

STEPS = 50_000
"""Maximum number of steps of one rendering; a step takes about a microsecond."""

LONGEST_TEXT = 20_000
"""Longest text that a template may create, in characters."""

LARGEST_LIST = 1_000_000
"""Largest list that a template may create: 16 for each value, including those in nested lists, plus
1 for each character of a text.
"""

_HOLDERS = (list, tuple, dict, KeysView, ValuesView, ItemsView)

_left: ContextVar[list[int] | None] = ContextVar("tocsin_template_steps", default=None)


class TooMuch(SecurityError):
    """A template exceeds a limit."""


def charge(steps: int) -> None:
    """Deduct steps from the budget of the current rendering.

    Raises:
        TooMuch: the budget is used up.
    """
    left = _left.get()
    if left is not None:
        left[0] -= steps
        if left[0] < 0:
            raise TooMuch(f"it takes more than {STEPS:,} steps; use fewer or shorter loops")


@contextmanager
def limited(steps: int) -> Iterator[None]:
    """Limit what is rendered in the block to a number of steps."""
    token = _left.set([steps])
    try:
        yield
    finally:
        _left.reset(token)


def _size(value: Any) -> int:
    """Return the length of a text; for lists, tuples and mappings the size of everything in them.

    An object that occurs several times is counted each time.

    Raises:
        TooMuch: it is larger than :data:`LARGEST_LIST`.
    """
    if not isinstance(value, _HOLDERS):
        return len(value) if isinstance(value, str) else 1
    size, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        size += 16 + (len(item) if isinstance(item, str) else 0)
        if size > LARGEST_LIST:
            raise TooMuch("a list in it becomes too large")
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, _HOLDERS):
            waiting += item
    return size


def sized(value: Any) -> Any:
    """Charge a value by its size and return it.

    Raises:
        TooMuch: the value is too large, or the budget is used up.
    """
    size = _size(value)
    if isinstance(value, str) and size > LONGEST_TEXT:
        raise TooMuch(f"a text in it is longer than {LONGEST_TEXT:,} characters")
    if isinstance(value, int) and value.bit_length() > 256:
        raise TooMuch("a number in it becomes too large")
    charge(1 + size // 20)
    return value
