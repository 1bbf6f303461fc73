"""The nursery: a process that has imported all that a plugin host needs, and forks one on demand.

A host thus starts within milliseconds and shares its memory with the others. The nursery runs no
code of plugins, has no threads, and ends with the core. It is started as
``python -m tocsin.core.hosted CONNECTION``, the number of a connected socket. A request on it
is the number of a process. Zero asks for a new host, and carries three file descriptors: of the
host's two connections to the core, and of its output. The answer is the number of its process, zero
if none can be started. Any other asks how that process ended; the answer is its wait status.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any

# Imported before the first host is forked.
from tocsin.core.hosted.link import HostPeer
from tocsin.core.hosted.priority import WHILE_LOADING
from tocsin.core.hosted.server import Server
from tocsin.core.hosts.process_tree import descendants_of, kill_all
from tocsin.core.resolver.guard import guard_lookups

PARENT_DIED, SUBREAPER = 1, 36
"""Options of Linux' prctl(2): the signal for the death of the parent; adoption of orphans."""

MOST_ENDED = 1000
"""Maximum number of wait statuses that are kept."""

ENDS_WITHIN = 20
"""Hundredths of a second within which a process whose connection has ended is expected to end."""


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Return uvloop's ``run`` if it is installed, as in the core; else asyncio's."""
    if find_spec("uvloop") is None:
        return asyncio.run
    import uvloop  # optional; the nursery imports it once for all

    return uvloop.run


async def serve(control: int, calls: int) -> None:
    """Serve the core in a new host, until it closes the connection."""
    guard_lookups(asyncio.get_running_loop())
    server = Server()
    asyncio.get_running_loop().set_task_factory(server.task)
    HostPeer(socket.socket(fileno=control), server.control(), ends=False)
    server.attach(HostPeer(socket.socket(fileno=calls), server.calls(), ends=True))
    await asyncio.Event().wait()


def be_host(nursery: int, control: int, calls: int, output: int) -> None:
    """Become a host, in the process that was forked for it."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _prctl(PARENT_DIED, signal.SIGKILL)
    _prctl(SUBREAPER, 1)  # orphans of its child processes stay in its tree, and end with it
    if os.getppid() != nursery:
        os._exit(0)
    os.nice(WHILE_LOADING)
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    _runner()(serve(control, calls))


class Ended:
    """The wait statuses of children that have ended, the last ones only."""

    def __init__(self) -> None:
        self._statuses: dict[int, int] = {}

    def collect(self, *_: object) -> None:
        """Collect the statuses of children; a handler of SIGCHLD."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self._statuses[found[0]] = found[1]
        for child in list(self._statuses)[:-MOST_ENDED]:
            del self._statuses[child]

    def status_of(self, child: int) -> int:
        """Return the status of a child; 0 if it is not known. Waits a moment for one that is about
        to end."""
        for _ in range(ENDS_WITHIN):
            if child in self._statuses:
                break
            time.sleep(0.01)  # a signal interrupts it
        return self._statuses.get(child, 0)


def main(connection: socket.socket) -> None:
    """Fork hosts until the core closes the connection."""
    _prctl(SUBREAPER, 1)  # what a host leaves behind when it dies becomes a child of the nursery
    ended = Ended()
    signal.signal(signal.SIGCHLD, ended.collect)
    signal.signal(signal.SIGINT, lambda *_: None)
    # Whoever ends all processes of tocsin means the core, which ends hosts when it needs none.
    # Programs that a plugin starts do not inherit a handler.
    signal.signal(signal.SIGTERM, lambda *_: None)
    _runner()
    gc.freeze()
    nursery = os.getpid()
    while True:
        request, given, _, _ = socket.recv_fds(connection, 4, 3)
        if not request:  # the core has ended; nothing of a plugin is left behind
            kill_all(descendants_of(nursery))
            os._exit(0)
        if child := int.from_bytes(request, "big"):
            connection.sendall(ended.status_of(child).to_bytes(4, "big"))
            continue
        for number in given:
            os.set_inheritable(number, False)  # not for programs that plugins start
        try:
            child = os.fork()
        except OSError:
            child = -1
        if child == 0:
            connection.close()
            be_host(nursery, *given)
            os._exit(0)
        for number in given:
            os.close(number)
        connection.sendall(max(0, child).to_bytes(4, "big"))


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
