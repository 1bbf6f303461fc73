"""Streams on sockets that are connected already."""

from __future__ import annotations

import asyncio
import socket
import ssl


async def open_stream(
    connected: socket.socket,
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the streams of a connected socket, and begin TLS on it if asked to.

        connected = await connect_to(host, port, timeout=self.timeout)
        reader, writer = await open_stream(connected, tls=tls_context(), server_name=host)

    Args:
        connected: the socket, as :func:`tocsin.connect_to` returns it. It belongs to the streams;
            if the call fails or is cancelled, it is closed.
        tls: see :func:`tocsin.tls_context`; None: without TLS.
        server_name: name for SNI and the certificate check, or an address, also in the brackets of
            a URL; needed with ``tls``.

    Returns:
        Reader and writer. To close them at once, call ``writer.transport.abort()``.

    Raises:
        OSError: the handshake failed; ``ssl.SSLError`` is one.
        ValueError: ``tls`` is given without ``server_name``.
    """
    if tls is None:
        return await asyncio.open_connection(sock=connected)
    if not server_name:
        connected.close()
        raise ValueError("TLS needs a server_name; pass the host name or address")
    name = server_name.strip("[]").partition("%")[0].rstrip(".")
    # If it fails, the event loop closes the socket.
    return await asyncio.open_connection(sock=connected, ssl=tls, server_hostname=name)
