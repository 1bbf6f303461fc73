"""Tuning of Python's garbage collector for a process that keeps many objects and makes few cycles.

What is set up at the start stays, and what a check makes is freed by reference counting as soon as
the check is over. With its default settings (young objects are examined at every 700th new one, and
all objects now and then), the collector would use a third of a busy core and find nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 20_000
"""Number of new objects after which the young ones are examined; that takes about 2 ms."""


@contextmanager
def held() -> Iterator[None]:
    """Collect nothing before :func:`settle`, or the end of the block: tocsin creates a million
    objects while it starts, which stay, and each full collection would hold up the first checks."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle() -> None:
    """Exempt all present objects from collection, and collect new ones less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
    gc.enable()
