"""Writing of streams to clients, chunk by chunk."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from tocsin.core.http.keys import HEADERS
from tocsin.core.http.routing import Call
from tocsin.core.runtime.deadline import deadline

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

    def leave(_: object = None) -> None:
        if call.request.transport is not None:
            call.request.transport.abort()  # whoever waits for room gets a ConnectionResetError

    if stopping.done():
        leave()
        raise ConnectionResetError("tocsin stops")
    stopping.add_done_callback(leave)
    try:
        with deadline(PATIENCE):
            await response.write(data)
    except TimeoutError:
        leave()
        raise ConnectionResetError("the client reads nothing") from None
    finally:
        stopping.remove_done_callback(leave)


def cut(call: Call) -> None:
    """Close a connection after what was written is sent, without the end mark of the answer: the
    client sees that the answer is incomplete."""
    if call.request.transport is not None:
        call.request.transport.close()
