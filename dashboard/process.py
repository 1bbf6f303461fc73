"""The child process that serves the dashboard: started, watched, and ended for sure."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import sys
from collections import deque
from pathlib import Path

from attrs import asdict, frozen

VARIABLE = "TOCSIN_DASHBOARD"
"""The environment variable that hands the settings to the child."""

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
"""What of the environment the child is given: it needs no password of anybody's."""

START = 60.0
"""Seconds the child may take until it answers."""

PULSE = 5.0
"""Seconds between two looks at whether it still answers, and for which it may take to answer."""

MISSES = 6
"""Looks without an answer after which it counts as hung."""


@frozen(kw_only=True)
class Settings:
    """The settings of the child process. ``sign_in``: readers need a token of their own. ``hosts``:
    names that requests may be for, beside this machine's own; ``any_host``: readers come from the
    network, under any name. The token itself is in ``token_file``, so that no process listing shows
    it."""

    host: str
    port: int
    base_path: str
    sign_in: bool
    hosts: list[str]
    any_host: bool
    api_url: str
    token_file: str

    @classmethod
    def from_environment(cls) -> Settings:
        """The settings that :func:`serve` handed over."""
        return cls(**json.loads(os.environ[VARIABLE]))


async def serve(settings: Settings, directory: Path) -> str:
    """Serve until cancelled. Returns why it ended, in a sentence with a remedy."""
    if reason := busy(settings.host, settings.port):
        return reason
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment[VARIABLE] = json.dumps(asdict(settings))
    # The pipe is the child's lifeline: it ends when this process does, however that comes.
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "tocsin.dashboard.serve",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, cwd=directory, env=environment, start_new_session=True,
    )  # fmt: skip
    said: deque[str] = deque(maxlen=20)
    reading = asyncio.create_task(_read(child, said))
    watching = asyncio.create_task(_watch(settings))
    exiting = asyncio.create_task(child.wait())
    try:
        await asyncio.wait({watching, exiting}, return_when=asyncio.FIRST_COMPLETED)
        if not exiting.done():
            return await watching
        await reading
        last = f": {said[-1]}" if said else ""
        return f"its process ended with exit status {exiting.result()}{last}"
    finally:
        watching.cancel()
        _end(child, signal.SIGKILL)
        await asyncio.shield(asyncio.gather(exiting, reading, return_exceptions=True))


def busy(host: str, port: int) -> str | None:
    """Why the port cannot be listened on, or None."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, proto) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = f"port {port} is taken" if taken else f"it cannot listen there ({error.strerror})"
        return f"{why} on {host}; set [services.dashboard] {'port' if taken else 'host'} to another"
    return None


def _end(child: asyncio.subprocess.Process, number: int) -> None:
    """Signal the child and all that it started."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


async def _read(child: asyncio.subprocess.Process, said: deque[str]) -> None:
    """Read the child's output and keep the last lines; a full pipe would block the child."""
    assert child.stdout is not None  # noqa: S101 - it was asked for
    while chunk := await child.stdout.read(65536):
        lines = chunk.decode(errors="replace").splitlines()
        said.extend(line.strip()[:300] for line in lines if line.strip())


async def _watch(settings: Settings) -> str:
    """Look whether it answers until it does no more; returns what is wrong."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not await _answers(settings):
        if loop.time() - began > START:
            return f"it did not answer within {START:g} s of its start"
        await asyncio.sleep(0.2)
    missed = 0
    while missed < MISSES:
        await asyncio.sleep(PULSE)
        missed = 0 if await _answers(settings) else missed + 1
    return f"it has not answered for {MISSES * PULSE:g} s and is started anew"


async def _answers(settings: Settings) -> bool:
    """Whether Streamlit says that it is well."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    base = f"/{settings.base_path}" if settings.base_path else ""
    request = f"GET {base}/_stcore/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(PULSE):
            reader, writer = await asyncio.open_connection(host, settings.port)
            try:
                writer.write(request.encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status
