"""State that the kernel keeps for a whole process, and a hook of tests; no app can own them."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define


@define
class Process:
    """What tocsin changed in its process, as long as it is changed; unset while none runs."""

    given_umask: int | None = None
    """The umask that the process was started with (umask(2)), while its own is another."""

    given_files: tuple[int, int] | None = None
    """The limits of open files that it was started with (RLIMIT_NOFILE), while they are raised."""

    files_left: tuple[float, int] = (float("-inf"), 0)
    """When its descriptors were counted last, by the monotonic clock, and how many were left."""

    crash_hook: Callable[[str], None] | None = None
    """Called at each of ``crash_points``, where a test ends the process as a whole."""


PROCESS = Process()
