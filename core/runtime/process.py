"""State that the kernel keeps for the whole process, and a hook for tests; no app can own these."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define


@define
class Process:
    """What tocsin has changed in its process, while it is changed; unset while no tocsin runs."""

    given_umask: int | None = None
    """The umask that the process was started with (umask(2)), while another is set."""

    given_files: tuple[int, int] | None = None
    """The limits of open files that it was started with (RLIMIT_NOFILE), while they are raised."""

    files_left: tuple[float, int] = (float("-inf"), 0)
    """When descriptors were last counted (monotonic seconds), and how many were left."""

    crash_hook: Callable[[str], None] | None = None
    """Called at each of ``crash_points``; a test ends the whole process there."""


PROCESS = Process()
