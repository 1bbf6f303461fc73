"""The child process that serves the dashboard: it is started, supervised, and always ended."""

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
"""The environment variable that passes the settings to the child process."""

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
"""Environment variables that the child process inherits; it needs none that hold passwords."""

START = 60.0
"""Maximum time, in seconds, from the start of the child process to its first answer."""

PULSE = 5.0
"""Seconds between two health checks of the child process, and the timeout of each."""

MISSES = 6
"""Number of consecutive failed health checks after which the child process counts as hung."""


@frozen(kw_only=True)
class Settings:
    """The settings of the child process.

    Attributes:
        host: the address to listen on.
        port: the TCP port to listen on.
        base_path: the URL path of the dashboard, without slashes at its ends.
        sign_in: whether readers need a personal token.
        hosts: host names that requests may be for, besides those of this machine.
        any_host: whether readers come from the network, under any name.
        api_url: base URL of the HTTP API.
        token_file: file with the dashboard's own token, so that no process listing shows it.
    """

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
        """Return the settings that :func:`serve` passed."""
        return cls(**json.loads(os.environ[VARIABLE]))


async def serve(settings: Settings, directory: Path) -> str:
    """Serve until cancelled, in a child process.

    Args:
        settings: the settings to pass.
        directory: working directory of the child process.

    Returns:
        Why the service ended, in a sentence with the remedy where there is one.
    """
    if reason := busy(settings.host, settings.port):
        return reason
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment[VARIABLE] = json.dumps(asdict(settings))
    # The child exits when this pipe closes, which happens however this process ends.
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
    """Return why the port cannot be used, in a sentence with the remedy, or None if it can."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, proto) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = f"port {port} is in use" if taken else f"it cannot listen ({error.strerror})"
        return f"{why} on {host}; change {'port' if taken else 'host'} in [services.dashboard]"
    return None


def _end(child: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to the child process and to all processes that it started."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


async def _read(child: asyncio.subprocess.Process, said: deque[str]) -> None:
    """Read the child's output and keep the last lines; a full pipe would block the child."""
    assert child.stdout is not None  # noqa: S101 - serve() requests the pipe
    while chunk := await child.stdout.read(65536):
        lines = chunk.decode(errors="replace").splitlines()
        said.extend(line.strip()[:300] for line in lines if line.strip())


async def _watch(settings: Settings) -> str:
    """Check the child's health until it no longer answers, and return what is wrong."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not await _answers(settings):
        if loop.time() - began > START:
            return f"its process did not answer within {START:g} s of its start"
        await asyncio.sleep(0.2)
    missed = 0
    while missed < MISSES:
        await asyncio.sleep(PULSE)
        missed = 0 if await _answers(settings) else missed + 1
    return f"its process has not answered for {MISSES * PULSE:g} s and is restarted"


async def _answers(settings: Settings) -> bool:
    """Return whether Streamlit's health endpoint answers 200."""
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
