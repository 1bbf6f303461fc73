"""Keys of what the web application holds, and the headers of all answers."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web

STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
"""Set when event streams have to end because tocsin stops."""

STREAMS: web.AppKey[Counter[str]] = web.AppKey("streams", Counter)
"""The number of open event streams by the id of their token."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "tocsin",
}
"""Security headers of every answer: no content sniffing, caching, framing, scripts or referrer, and
no version of the server software.
"""
