"""Process trees of plugin hosts: what they use, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil
from attrs import frozen

ROUNDS = 20
"""Maximum number of searches for further processes of a tree that is being stopped."""


@frozen
class Usage:
    """What a process tree uses.

    Attributes:
        memory: in bytes.
        cpu: seconds of processor time so far.
        files: descriptors that its first process has open.
        threads: threads of its first process.
        processes: number of its descendants; 0 if they were not counted.
    """

    memory: int
    cpu: float
    files: int = 0
    threads: int = 0
    processes: int = 0


def usage_of(process: psutil.Process, *, tree: bool) -> Usage:
    """Return what a process uses, with its descendants if ``tree``.

    Raises:
        psutil.Error: it has ended.
    """
    memory, cpu = _own(process, exactly=tree)
    children = descendants_of(process.pid) if tree else []
    for child in children:
        with contextlib.suppress(psutil.Error):
            more, time = _own(psutil.Process(child), exactly=True)
            memory, cpu = memory + more, cpu + time
    return Usage(memory, cpu, process.num_fds(), process.num_threads(), len(children))


def _own(process: psutil.Process, *, exactly: bool) -> tuple[int, float]:
    """Return a process's memory and processor time. Hosts share much of their memory, as they are
    forked; without it the figure is exact, and takes more time to find."""
    with process.oneshot():
        times = process.cpu_times()
        memory = process.memory_full_info().uss if exactly else process.memory_info().rss
        return memory, times.user + times.system


def children_of(pid: int) -> list[int]:
    """Return the numbers of a process's children.

    Linux lists them for each thread (proc(5), ``/proc/PID/task/TID/children``); elsewhere all
    processes have to be searched.
    """
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                found += map(int, (thread / "children").read_bytes().split())
        if found or Path(f"/proc/{pid}/task/{pid}/children").exists():
            return found
    except OSError:
        pass
    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


def descendants_of(pid: int) -> list[int]:
    """Return the numbers of a process's descendants, each after its parent."""
    found = children_of(pid)
    for child in found:  # it grows meanwhile
        found += children_of(child)
    return found


def end_tree(process: psutil.Process) -> None:
    """Kill a process and all its descendants.

    They are stopped first, each before its children are listed: then none starts another one
    meanwhile, and the number of one that has ended is not used again, as its stopped parent cannot
    collect it.
    """
    if not process.is_running():  # its number may be another's by now
        return
    stopped: dict[int, None] = {}
    for _ in range(ROUNDS):
        found = [process.pid, *descendants_of(process.pid)]
        fresh = [pid for pid in found if pid not in stopped]
        if not fresh:
            break
        _signal(fresh, signal.SIGSTOP)
        stopped |= dict.fromkeys(fresh)
    kill_all(stopped)


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes."""
    _signal(pids, signal.SIGKILL)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
