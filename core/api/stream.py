"""The event stream: what happens, as it happens, by server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web
from attrs import asdict, frozen, has

from tocsin.core.api.keys import HEADERS, STOPPING
from tocsin.core.api.problems import Problem
from tocsin.core.api.routing import Call, Routes
from tocsin.core.bus import News
from tocsin.core.model import Observation

routes = Routes()
KINDS = ("target", "status", "result", "event")
KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection."""


@frozen(kw_only=True)
class StreamQuery:
    """Which kinds, comma-separated: target, status, result, event. Unset: all but result."""

    kinds: str | None = None


@routes.get("/api/v1/stream", media="text/event-stream", errors=(400,))
async def stream(call: Call, query: StreamQuery) -> web.StreamResponse:
    """Stream news. ``Last-Event-ID`` resumes; ``event: lost`` counts what a slow reader missed."""
    kinds = [k.strip() for k in query.kinds.split(",")] if query.kinds else [*KINDS]
    if query.kinds is None:
        kinds.remove("result")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise Problem(400, f"unknown kind {unknown[0]!r}; known are {', '.join(KINDS)}")
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
    await response.prepare(call.request)
    with call.monitor.bus.subscribe(*kinds) as subscription:
        await response.write(b"retry: 2000\n\n")
        last = call.request.headers.get("Last-Event-ID", "")
        if last.isdecimal():
            for news in call.monitor.bus.since(int(last)):
                if news.kind in kinds:
                    await response.write(encode(news))
        lost = 0
        stopping = asyncio.ensure_future(call.request.app[STOPPING].wait())
        reader = aiter(subscription)
        upcoming = asyncio.ensure_future(anext(reader))
        try:
            while not stopping.done():
                await asyncio.wait(
                    {upcoming, stopping},
                    timeout=KEEP_ALIVE,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if subscription.lost > lost:
                    missed, lost = subscription.lost - lost, subscription.lost
                    await response.write(b'event: lost\ndata: {"count":%d}\n\n' % missed)
                if upcoming.done():
                    await response.write(encode(upcoming.result()))
                    upcoming = asyncio.ensure_future(anext(reader))
                elif not stopping.done():
                    await response.write(b": still here\n\n")
        except ConnectionResetError:
            pass
        finally:
            upcoming.cancel()
            stopping.cancel()
    return response


def encode(news: News) -> bytes:
    """One event. JSON holds no line breaks, so data is one line."""
    data = msgspec.json.encode(_plain(news.data), enc_hook=str)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (news.number, news.kind.encode(), data)


def _plain(data: Any) -> Any:
    if isinstance(data, Observation):
        result = data.result
        return {
            "target": data.target,
            "check": data.check,
            "at": data.at,
            "status": result.status,
            "message": result.message,
            "latency_seconds": result.latency,
            "metrics": result.metrics,
            "reason": None if result.container is None else result.container.reason,
        }
    return asdict(data, recurse=False) if has(type(data)) else data
