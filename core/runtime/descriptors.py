"""File descriptors: raises the process's limit, and reserves some for what must not fail.

Each connection, program and file needs a descriptor. Checks begin only while RESERVE and ROOM are
left, the API accepts connections only while RESERVE is left; the reserve is for delivery.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tocsin.core.runtime.process import PROCESS

RESERVE = 64
"""Number of descriptors that neither checks nor the API may use."""

ROOM = 64
"""Number of descriptors that checks leave to the API."""

EACH = 5
"""Maximum number of descriptors of a check, except for moments: the pipes of a program."""

MOST = 65536
"""Maximum of the raised soft limit. Some programs examine every descriptor below their limit."""

FRESH = 0.1
"""Seconds for which a count is used again."""

_SCARCE = 16
"""With fewer left than these, they are a likely cause of an error."""


@contextmanager
def raised_limit() -> Iterator[None]:
    """Raise the soft limit of open files to the hard one, at most MOST, within a ``with`` block."""
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
    """Give a started program the limit that tocsin was started with, since a program that uses
    ``select`` cannot handle descriptors above 1,023. ``pid``: of the program."""
    if PROCESS.given_files is not None:
        with suppress(OSError, ValueError):  # it may have ended already
            resource.prlimit(pid, resource.RLIMIT_NOFILE, PROCESS.given_files)


def limit() -> int:
    """Return the maximum number of descriptors of the process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def count() -> int:
    """Return the number of descriptors in use; the limit if none is left to count them with."""
    try:
        # Since Linux 6.2 this is the number itself; before that, and elsewhere, 0.
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))  # noqa: PTH116, PTH208
    except FileNotFoundError:
        return 0  # there is no /proc
    except OSError:
        return limit()


def left() -> int:
    """Return how many more are available, counted at most FRESH seconds ago."""
    at, found = PROCESS.files_left
    now = time.monotonic()
    if now - at > FRESH:
        found = limit() - count()
        PROCESS.files_left = (now, found)
    return found


def are_scarce() -> bool:
    """Return whether almost none are left at this moment."""
    return limit() - count() < _SCARCE


def room_for_checks() -> float:
    """Return how many more checks may begin."""
    return (left() - _kept(RESERVE + ROOM)) / EACH


def room_for_api() -> bool:
    """Return whether the API may accept a connection."""
    return left() > _kept(RESERVE)


def for_delivery_only() -> bool:
    """Return whether so few are left that checks have to wait."""
    return left() <= _kept(RESERVE + ROOM)


def checks_at_once(wanted: int) -> int:
    """Return how many of ``wanted`` concurrent checks the limit allows, and half as many more while
    some hang."""
    return max(10, min(wanted, int((limit() - _kept(RESERVE + ROOM)) / EACH / 1.5)))


def _kept(wanted: int) -> int:
    """Return how many descriptors are reserved; fewer if the limit is very low."""
    return min(wanted, limit() // 4)
