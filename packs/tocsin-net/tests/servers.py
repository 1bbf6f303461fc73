"""Real servers on free ports of the loopback interface, and peers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

PATIENCE = 30.0
"""Seconds after which a server that has not started is a failure."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def free_port() -> int:
    """Return a port of the loopback interface that is free for TCP and for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def program(name: str) -> str:
    """Return the path of a program; without it the test is skipped, or fails in CI."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed; see .ci/parts/apt.sh")
    if path is None:
        pytest.skip(f"{name} is not installed; see .ci/parts/apt.sh")
    return path


@contextlib.contextmanager
def running(arguments: list[str], port: int, directory: Path) -> Iterator[int]:
    """Run a server until the block ends. Yields its port, on which it listens by then."""
    log = directory / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, cwd=directory)
    try:
        end = time.monotonic() + PATIENCE
        while not _listens(port):
            assert process.poll() is None, f"{arguments[0]} ended: {log.read_text()}"
            assert time.monotonic() < end, f"{arguments[0]} does not listen: {log.read_text()}"
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.asynccontextmanager
async def peer(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve connections with a coroutine. Yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def says(*lines: bytes, then: bytes = b"") -> Handler:
    """Return a handler that sends the first line at once, and one more for each line that it gets.

    After the last one it sends ``then`` and closes the connection.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, line in enumerate(lines):
            if number:
                await reader.readline()
            writer.write(line)
            await writer.drain()
        writer.write(then)
        await writer.drain()

    return serve


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Send nothing until the client leaves."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            pass


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one line that never ends."""
    while True:
        writer.write(b"x" * 4096)
        await writer.drain()


async def endless_lines(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send lines without end."""
    while True:
        writer.write(b"* hello\r\n" * 400)
        await writer.drain()


async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection at once."""
    writer.close()


async def half_a_line(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the beginning of a line and close the connection."""
    writer.write(b"SS")
    await writer.drain()
