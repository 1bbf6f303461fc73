"""The event stream: live updates as server-sent events (WHATWG HTML, section 9.2).

It is no async generator, unlike the streams of plugins: publishers never wait for a reader. What a
slow reader cannot take is dropped and counted, and a reconnecting one resumes from the bus.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from aiohttp import web
from attrs import asdict, frozen, has

from tocsin.core.alerts.model import Transition
from tocsin.core.alerts.outbox import Row
from tocsin.core.alerts.silences import Silence
from tocsin.core.contracts.model import Observation
from tocsin.core.contracts.route import Routes
from tocsin.core.encoding import encode as as_json
from tocsin.core.http.alert_views import alert_view
from tocsin.core.http.chunks import send_chunk, stream_response
from tocsin.core.http.keys import STOPPING, STREAMS
from tocsin.core.http.ledger import row_view
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call
from tocsin.core.http.silences import shown
from tocsin.core.monitor.bus import News, Subscription

routes = Routes()
KINDS = ("target", "status", "result", "event", "alert", "notification", "silence")
KEEP_ALIVE = 15.0
"""Seconds without an event after which a comment is sent, so that proxies keep the connection."""

MOST = 100
"""Most event streams in total."""

MOST_OF_TOKEN = 20
"""Most event streams of one token."""

_ID = re.compile(r"([0-9a-f]{1,16})-([0-9]{1,18})")


@frozen(kw_only=True)
class StreamQuery:
    """``kinds`` lists the kinds of events to send, comma-separated.

    Kinds are target, status, result, event, alert, notification and silence. Default: all but
    result.
    """

    kinds: str = "target,status,event,alert,notification,silence"


@routes.get("/api/v1/stream", media="text/event-stream", errors=(503,))
async def stream(call: Call, query: StreamQuery) -> web.StreamResponse:
    """Stream events as they happen, as server-sent events.

    The header ``Last-Event-ID`` resumes an interrupted stream. The event ``lost`` reports events
    that could not be sent; its data is ``{"count": n}``, with null if the number is not known:
    reload what you show.
    """
    kinds = [kind.strip() for kind in query.kinds.split(",")]
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise Problem(400, f"unknown kind {unknown[0]!r}; known are {', '.join(KINDS)}")
    response = stream_response("text/event-stream")
    with suppress(ConnectionError), _counted(call):
        await response.prepare(call.request)
        if call.request.method != "HEAD":
            with call.monitor.bus.subscribe(*kinds) as subscription:
                await _Feed(call, response).run(subscription, kinds)
    return response


@contextmanager
def _counted(call: Call) -> Iterator[None]:
    """Count a stream while it is open.

    Raises:
        Problem: 503, there are too many streams, in total or of this token.
    """
    streams, token = call.request.app[STREAMS], "" if call.who is None else str(call.who.id)
    of_token = streams[token] >= MOST_OF_TOKEN
    if of_token or streams.total() >= MOST:
        bound = f"{MOST_OF_TOKEN} with this token" if of_token else str(MOST)
        text = f"the limit of event streams is reached ({bound}); close some"
        raise Problem(503, text, headers={"Retry-After": "10"})
    streams[token] += 1
    try:
        yield
    finally:
        streams[token] -= 1


class _Feed:
    """The event stream of one client."""

    def __init__(self, call: Call, response: web.StreamResponse) -> None:
        self._call = call
        self._response = response
        # Event numbers start anew with each process, so the id includes the start time.
        self._start = f"{int(call.monitor.started_at.timestamp() * 1000):x}"

    async def run(self, subscription: Subscription, kinds: list[str]) -> None:
        """Send events until tocsin stops or the token is no longer valid.

        Raises:
            ConnectionError: the client has disconnected, or reads nothing.
        """
        # No gap and no duplicate: nothing was awaited since the subscription began.
        first = b"retry: 2000\n\n" + self._missed(kinds)
        stopping = asyncio.ensure_future(self._call.request.app[STOPPING].wait())
        upcoming = asyncio.ensure_future(subscription.batch())
        lost = 0
        try:
            await send_chunk(self._call, self._response, first, stopping)
            while not stopping.done():
                await asyncio.wait(
                    {upcoming, stopping}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED
                )
                if stopping.done() or not self._call.may_go_on():
                    break
                if not upcoming.done():
                    await send_chunk(self._call, self._response, b": still here\n\n", stopping)
                    continue
                chunks = [encode(news, self._start) for news in upcoming.result()]
                if subscription.lost > lost:
                    chunks.insert(0, _lost(subscription.lost - lost))
                    lost = subscription.lost
                upcoming = asyncio.ensure_future(subscription.batch())
                await send_chunk(self._call, self._response, b"".join(chunks), stopping)
        finally:
            upcoming.cancel()
            stopping.cancel()

    def _missed(self, kinds: list[str]) -> bytes:
        """Return what the client missed since its ``Last-Event-ID``, encoded."""
        last = self._call.request.headers.get("Last-Event-ID")
        if last is None:
            return b""
        found = _ID.fullmatch(last)
        if found is None or found[1] != self._start:
            return _lost(None)
        news, whole = self._call.monitor.bus.since(int(found[2]), *kinds)
        chunks = [] if whole else [_lost(None)]
        return b"".join(chunks + [encode(item, self._start) for item in news])


def _lost(count: int | None) -> bytes:
    return b"event: lost\ndata: %s\n\n" % msgspec.json.encode({"count": count})


def encode(news: News, start: str) -> bytes:
    """Encode one event. JSON has no raw line breaks, so one data line suffices.

    Args:
        news: the event.
        start: the start time of this process, which is the first part of event ids.
    """
    data = as_json(_plain(news.data))
    return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (
        start.encode(), news.number, news.kind.encode(), data,
    )  # fmt: skip


def _plain(data: Any) -> Any:
    """Return an event's data as the API shows it."""
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
    if isinstance(data, Transition):
        return {
            "id": data.id,
            "change": data.kind,
            "at": data.at,
            "notify": data.notify,
            "reason": data.why or data.reason,
            "actor": data.actor,
            "alert": asdict(alert_view(data.alert), recurse=False),
        }
    if isinstance(data, Row):
        return asdict(row_view(data), recurse=False)
    if isinstance(data, Silence):
        return {
            "id": data.id,
            "matchers": shown(data.matchers),
            "starts_at": data.starts_at,
            "ends_at": data.ends_at,
            "created_by": data.created_by,
            "comment": data.comment,
        }
    return asdict(data, recurse=False) if has(type(data)) else data
