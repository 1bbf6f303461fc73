"""Runs programs such that their child processes do not outlive them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from tocsin import program_umask, restore_limits

KILL_AFTER = 0.5
"""Seconds between SIGTERM and SIGKILL to a process group."""

LAST_WORDS = 0.2
"""Seconds to wait, after the program has ended, until its output pipes are closed."""


@frozen(kw_only=True)
class Finished:
    """How a program ended.

    Attributes:
        code: exit status; negative: number of the signal that killed it.
        stdout: standard output, cut at the limit.
        stderr: standard error, cut at the limit.
        timed_out: whether the timeout ended it.
        seconds: how long it ran.
    """

    code: int
    stdout: str
    stderr: str
    timed_out: bool
    seconds: float


async def run(
    command: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str],
    cwd: str | None,
    output_limit: int,
) -> Finished:
    """Run a program without a shell, and return how it ended.

    The program runs in its own session, hence its own process group, with the umask that tocsin
    was started with. At the timeout, and if the caller is cancelled, the whole group is ended,
    including grandchildren.

    Args:
        command: the program and its arguments.
        timeout: seconds until the program is ended.
        env: its environment variables.
        cwd: its working directory; None: that of tocsin.
        output_limit: bytes kept of each of stdout and stderr; further output is read and discarded.

    Raises:
        OSError: the program cannot be started.
    """
    began = time.monotonic()
    mask = program_umask()
    # uvloop has no umask option; it runs Python code in the forked child anyway.
    plain = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    umask: dict[str, Any] = {"umask": mask} if plain else {"preexec_fn": partial(os.umask, mask)}
    transport, protocol = await asyncio.get_running_loop().subprocess_exec(
        lambda: _Program(output_limit),
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
        close_fds=True,
        **umask,
    )
    restore_limits(transport.get_pid())
    timed_out = False
    try:
        try:
            async with asyncio.timeout(timeout):
                await protocol.exited.wait()
        except TimeoutError:
            timed_out = True
    finally:
        # Also after a normal end, because children left in the group would continue unnoticed.
        await asyncio.shield(_end_group(transport.get_pid(), protocol))
        # A grandchild that left the group may keep the pipes open; do not wait longer for it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await protocol.closed.wait()
        transport.close()
    code = transport.get_returncode()
    return Finished(
        code=-9 if code is None else code,
        stdout=protocol.output[1].decode("utf-8", "replace"),
        stderr=protocol.output[2].decode("utf-8", "replace"),
        timed_out=timed_out,
        seconds=time.monotonic() - began,
    )


class _Program(asyncio.SubprocessProtocol):
    """Collects output, and distinguishes the end of the program from the closing of its pipes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 2
        self.output = {1: bytearray(), 2: bytearray()}
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the output up to the limit."""
        kept = self.output[fd]
        kept += data[: max(0, self._limit - len(kept))]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note that all processes have closed this pipe."""
        self._open -= 1
        if not self._open:
            self.closed.set()

    def process_exited(self) -> None:
        """Note that the program itself has ended."""
        self.exited.set()


async def _end_group(group: int, protocol: _Program) -> None:
    """End a process group: SIGTERM, then SIGKILL. ``group`` is the pid of its leader."""
    if not protocol.exited.is_set():
        _signal(group, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_AFTER):
                await protocol.exited.wait()
    _signal(group, signal.SIGKILL)
    await protocol.exited.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
