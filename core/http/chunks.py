"""Writing of streams to clients, chunk by chunk."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from tocsin.core.http.keys import HEADERS
from tocsin.core.http.routing import Call

PATIENCE = 30.0
"""Seconds after which a client that reads nothing is disconnected; it can reconnect."""


def stream_response(media: str) -> web.StreamResponse:
    """Return the response of a stream, which proxies must not buffer."""
    return web.StreamResponse(headers={**HEADERS, "Content-Type": media, "X-Accel-Buffering": "no"})


async def send_chunk(
    call: Call, response: web.StreamResponse, data: bytes, stopping: asyncio.Future[Any]
) -> None:
    """Write data, waiting for :data:`PATIENCE` seconds at most, or until tocsin stops.

    Raises:
        ConnectionError: the client has disconnected, or reads nothing.
    """
    writing = asyncio.ensure_future(response.write(data))
    await asyncio.wait({writing, stopping}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    if not writing.done():
        writing.cancel()
        if call.request.transport is not None:
            call.request.transport.abort()
        raise ConnectionResetError("the client reads nothing")
    writing.result()


def cut(call: Call) -> None:
    """Close a connection after what was written is sent, without the end mark of the answer: the
    client sees that the answer is incomplete."""
    if call.request.transport is not None:
        call.request.transport.close()
