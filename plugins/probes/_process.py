"""Running a program so that nothing of it can be left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence

from attrs import frozen

KILL_AFTER = 0.5
"""Seconds between asking a process group to end and killing it."""


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
    """Run a program without a shell, in a session (and so a process group) of its own.

    At ``timeout`` seconds, and if the caller is cancelled, the whole group is ended, grandchildren
    included. Output past ``output_limit`` bytes a stream is read and thrown away.

    Raises:
        OSError: the program cannot be started.
    """
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
        close_fds=True,
    )
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    out, err = bytearray(), bytearray()
    readers = [
        asyncio.create_task(_drain(process.stdout, out, output_limit)),
        asyncio.create_task(_drain(process.stderr, err, output_limit)),
    ]
    timed_out = False
    try:
        try:
            async with asyncio.timeout(timeout):
                await process.wait()
        except TimeoutError:
            timed_out = True
    finally:
        # Also after a normal end: children it left in its group would go on unseen.
        await asyncio.shield(_end_group(process))
        # A grandchild that left the group may hold the pipe open: wait no longer for it.
        await asyncio.wait(readers, timeout=0.2)
        for reader in readers:
            reader.cancel()
        # transport.close() shuts our ends of the pipes.
        getattr(process, "_transport").close()  # noqa: B009
    return Finished(
        code=process.returncode if process.returncode is not None else -9,
        stdout=out.decode("utf-8", "replace"),
        stderr=err.decode("utf-8", "replace"),
        timed_out=timed_out,
        seconds=time.monotonic() - began,
    )


async def _drain(stream: asyncio.StreamReader, into: bytearray, limit: int) -> None:
    while chunk := await stream.read(65536):
        into += chunk[: max(0, limit - len(into))]


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End a process group: politely, then not."""
    group = process.pid  # it leads its session
    if process.returncode is None:
        _signal(group, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_AFTER):
                await process.wait()
    _signal(group, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
