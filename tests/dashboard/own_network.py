"""A network of a browser's own.

Chromium gives up what it is loading (ERR_NETWORK_CHANGED) whenever an interface of its machine
comes or goes, and each container that somebody starts brings one. So it gets a network namespace
with a loopback interface and nothing else. The one way out is a SOCKS5 proxy (RFC 1928) that
listens inside and connects outside, to loopback addresses only.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shlex
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from attrs import frozen

CLONE_NEWNET = 0x40000000
"""sched.h"""

CONNECT, IPV4, NAME, IPV6 = 1, 1, 3, 4
SUCCEEDED, REFUSED, NOT_ALLOWED = 0, 5, 2
"""RFC 1928, sections 4 to 6."""


@frozen
class OwnNetwork:
    """How to start a program inside, and the proxy that it has to use there."""

    program: Path
    proxy: str


@contextmanager
def own_network(program: str) -> Iterator[OwnNetwork | None]:
    """A network namespace for ``program``, for as long as the block lasts.

    Gives None where this user may not make one; then the program runs beside everything else.
    """
    namespace, listener = _namespace()
    if namespace is None or listener is None:
        yield None
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="SOCKS5 proxy", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(_serve, sock=listener), loop)
    with tempfile.TemporaryDirectory(prefix="own-network-") as directory:
        inside = Path(directory) / Path(program).name
        inside.write_text(
            f"#!/bin/sh\nexec nsenter --net=/proc/{os.getpid()}/fd/{namespace}"
            f' {shlex.quote(program)} "$@"\n'
        )
        inside.chmod(0o755)
        try:
            yield OwnNetwork(inside, f"socks5://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            loop.call_soon_threadsafe(server.result().close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            os.close(namespace)


def _namespace() -> tuple[int | None, socket.socket | None]:
    """A handle of a new namespace, and a socket that listens on its loopback address."""
    made: list[tuple[int, socket.socket]] = []

    def make() -> None:  # a namespace belongs to a thread; the sockets made there stay in it
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) == 0:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            handle = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
            made.append((handle, socket.create_server(("127.0.0.1", 0))))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0] if made else (None, None)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of the browser's."""
    try:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(bytes((5, 0)))  # no authentication
        _, command, _, kind = await reader.readexactly(4)
        if kind == NAME:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ip_address(await reader.readexactly(16 if kind == IPV6 else 4)))
        port = int.from_bytes(await reader.readexactly(2))
        status = NOT_ALLOWED
        if command == CONNECT and host in ("127.0.0.1", "::1", "localhost"):
            try:
                there, out = await asyncio.open_connection(host, port)
                status = SUCCEEDED
            except OSError:
                status = REFUSED
        writer.write(bytes((5, status, 0, IPV4, 0, 0, 0, 0, 0, 0)))
        if status == SUCCEEDED:
            await asyncio.gather(_pump(reader, out), _pump(there, writer))
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
