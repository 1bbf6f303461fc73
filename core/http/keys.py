"""What all answers carry, and what the web application keeps, under typed keys."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web

STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
"""Set when streams are to end."""

STREAMS: web.AppKey[Counter[str]] = web.AppKey("streams", Counter)
"""How many event streams there are, by the id of their token."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "tocsin",
}
"""Of every answer: nothing here is to be sniffed, kept, framed or run by a browser, and what serves
it is nobody's business."""
