"""Running a program so that nothing of it can be left behind."""

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
"""Seconds between asking a process group to end and killing it."""

LAST_WORDS = 0.2
"""Seconds for output that is still on its way when the program has ended."""


@frozen(kw_only=True)
class Finished:
    """How a program ended: ``code`` is its exit status, negative for the signal that killed it."""

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
    """Run a program without a shell, in a session (and so a process group) of its own, with the
    umask that tocsin was started with.

    At ``timeout`` seconds, and if the caller is cancelled, the whole group is ended, grandchildren
    included. Output past ``output_limit`` bytes a stream is read and thrown away.

    Raises:
        OSError: the program cannot be started.
    """
    began = time.monotonic()
    mask = program_umask()
    # uvloop knows no umask; it runs the child's side of a fork in Python anyway.
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
        # Also after a normal end: children it left in its group would go on unseen.
        await asyncio.shield(_end_group(transport.get_pid(), protocol))
        # A grandchild that left the group may hold the pipes open: wait no longer for it.
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
    """Collects output, and distinguishes the end of the program from the end of its pipes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 2
        self.output = {1: bytearray(), 2: bytearray()}
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep what fits."""
        kept = self.output[fd]
        kept += data[: max(0, self._limit - len(kept))]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Everyone who held this pipe has let go of it."""
        self._open -= 1
        if not self._open:
            self.closed.set()

    def process_exited(self) -> None:
        """The program itself has ended."""
        self.exited.set()


async def _end_group(group: int, protocol: _Program) -> None:
    """End a process group: politely, then not. Its leader's pid is its number."""
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
