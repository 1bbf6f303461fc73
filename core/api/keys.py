"""What the web application carries, under typed keys."""

from __future__ import annotations

import asyncio

from aiohttp import web

RECENT: web.AppKey[dict[str, float]] = web.AppKey("recent_restarts", dict)
"""Monotonic second of the last restart of each container."""

STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
"""Set when streams are to end."""
