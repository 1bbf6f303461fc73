"""How long one thread may keep the others from running Python code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

SHORT = 0.0001
"""Seconds. The event loop gives up the interpreter's lock at each system call, some six times a
check, and each time waits so long to have it back from a thread that computes."""


@contextmanager
def short_turns() -> Iterator[None]:
    """Let threads take short turns (``sys.setswitchinterval``) while one of them computes for long.

    With the interpreter's default of 5 ms, checks come to a standstill meanwhile.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SHORT)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
