"""Open files: the process may have more of them, and keeps some back for what must not fail.

Each connection, program and file takes a descriptor. Checks begin only while RESERVE and ROOM are
left, the API accepts only while RESERVE is left: what is left beyond that is for delivery.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tocsin.core.runtime.process import PROCESS

RESERVE = 64
"""Descriptors that neither checks nor the API may take."""

ROOM = 64
"""Descriptors that checks leave to the API."""

EACH = 5
"""Descriptors that a check takes at most, but for a moment: the pipes of a program."""

MOST = 65536
"""The soft limit is raised up to this. Some programs look at each number below their limit."""

FRESH = 0.1
"""Seconds for which a count holds."""

_SCARCE = 16
"""With fewer left than these, an error may well come from that."""


@contextmanager
def raised_limit() -> Iterator[None]:
    """Meanwhile the soft limit of open files is the hard one, or MOST, as far as that may be."""
    soft, hard = PROCESS.given_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        _set_limit(wanted, hard)
    try:
        yield
    finally:
        _set_limit(soft, hard)
        PROCESS.given_files = None


def _set_limit(soft: int, hard: int) -> None:
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def restore_limits(pid: int) -> None:
    """Give a program that was started the limit that tocsin was started with: one that uses
    ``select`` cannot handle descriptors above 1,023."""
    if PROCESS.given_files is not None:
        with suppress(OSError, ValueError):  # it has ended already
            resource.prlimit(pid, resource.RLIMIT_NOFILE, PROCESS.given_files)


def limit() -> int:
    """How many descriptors the process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def count() -> int:
    """How many it has, or the limit where there are no more to count them with."""
    try:
        # Since Linux 6.2 this is the number itself; before that, and elsewhere, 0.
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))  # noqa: PTH116, PTH208
    except FileNotFoundError:
        return 0  # there is no /proc
    except OSError:
        return limit()


def left() -> int:
    """How many more there may be, counted at most FRESH seconds ago."""
    at, found = PROCESS.files_left
    now = time.monotonic()
    if now - at > FRESH:
        found = limit() - count()
        PROCESS.files_left = (now, found)
    return found


def are_scarce() -> bool:
    """Whether next to none are left at this moment."""
    return limit() - count() < _SCARCE


def room_for_checks() -> float:
    """How many more checks may begin."""
    return (left() - _kept(RESERVE + ROOM)) / EACH


def room_for_api() -> bool:
    """Whether the API may accept a connection."""
    return left() > _kept(RESERVE)


def for_delivery_only() -> bool:
    """Whether so few are left that checks wait."""
    return left() <= _kept(RESERVE + ROOM)


def checks_at_once(wanted: int) -> int:
    """How many of ``wanted`` checks the limit allows, half of them more while they hang."""
    return max(10, min(wanted, int((limit() - _kept(RESERVE + ROOM)) / EACH / 1.5)))


def _kept(wanted: int) -> int:
    """How many are kept back; less where the limit is very low."""
    return min(wanted, limit() // 4)
