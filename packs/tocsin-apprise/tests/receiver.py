"""A web server on loopback that records requests, and answers, hangs or hangs up on request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from aiohttp import web
from attrs import define, field, frozen


@frozen
class Got:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, str]:
        """Return the body, which is a JSON object."""
        found: dict[str, str] = json.loads(self.body)
        return found


@frozen
class Answer:
    """An answer; ``path``: the beginning of the paths that get it."""

    status: int
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: str = ""
    path: str = "/"


@define(eq=False)
class Receiver:
    """The server.

    Attributes:
        got: all requests.
        answers: answers to all requests whose path fits; without one the answer is 200.
        once: answers to the next requests.
        closed: paths at which the connection is cut off within the answer.
        hang: paths at which requests wait for ``release``.
        arrived: set when the first request has arrived.
    """

    got: list[Got] = field(factory=list[Got])
    answers: list[Answer] = field(factory=list[Answer])
    once: list[Answer] = field(factory=list[Answer])
    closed: set[str] = field(factory=set[str])
    hang: set[str] = field(factory=set[str])
    release: asyncio.Event = field(factory=asyncio.Event)
    arrived: asyncio.Event = field(factory=asyncio.Event)
    port: int = 0
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application(client_max_size=50_000_000)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        self.release.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, scheme: str, rest: str = "") -> str:
        """Return an Apprise URL of this server."""
        return f"{scheme}://127.0.0.1:{self.port}/{rest}"

    def at(self, path: str) -> list[Got]:
        """Return the requests for a path and what is below."""
        return [one for one in self.got if one.path.startswith(path)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        got = Got(request.method, request.path, dict(request.headers), await request.read())
        self.got.append(got)
        self.arrived.set()
        if request.path in self.hang:
            await self.release.wait()
        if request.path in self.closed:
            cut = web.StreamResponse(headers={"Content-Length": "1000"})
            await cut.prepare(request)
            await cut.write(b"half of")
            if request.transport is not None:
                request.transport.abort()
            return cut
        fitting = [one for one in self.answers if got.path.startswith(one.path)]
        answer = self.once.pop(0) if self.once else fitting[0] if fitting else Answer(200)
        return web.Response(status=answer.status, headers=answer.headers, text=answer.body)
