"""Healthy servers that take their time: ``python -m tests.app.slow_site DIRECTORY``.

Prints the ports of HTTP, of HTTPS and of a TCP server that says "ready", each after DELAY.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

import trustme

DELAY = 0.7
"""Seconds."""


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await _say(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


async def _ready(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _say(writer, b"ready")


async def _say(writer: asyncio.StreamWriter, text: bytes) -> None:
    try:
        await asyncio.sleep(DELAY)
        writer.write(text)
        await writer.drain()
    except OSError:
        return  # nobody listens any more
    finally:
        writer.close()


async def main() -> None:
    """Serve until the end of stdin."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    servers = [
        await asyncio.start_server(_http, "127.0.0.1", 0, backlog=512),
        await asyncio.start_server(_http, "127.0.0.1", 0, ssl=context, backlog=512),
        await asyncio.start_server(_ready, "127.0.0.1", 0, backlog=512),
    ]
    print(*(one.sockets[0].getsockname()[1] for one in servers), flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
