"""Routes of plugins in a host: the same decoding and encoding as for routes in the core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, cast

from attrs import define, field

from tocsin.core.contracts.base import ActionError
from tocsin.core.hosted.loading import Loaded
from tocsin.core.hosted.view import HostView
from tocsin.core.hosts import methods
from tocsin.core.hosts.methods import Answered, Asked
from tocsin.core.hosts.peer import Peer
from tocsin.core.plugin.guard import guarded
from tocsin.core.shapes import fit_chunk

if TYPE_CHECKING:
    from tocsin.core.http.problems import Problem

WINDOW = 256 * 1024
"""Bytes that a generator may be ahead of what the core has written."""

OVERHEAD = 512
"""Bytes that each chunk takes of the window besides its own, so that it bounds their number."""


@define(eq=False)
class _Window:
    """The window of one stream."""

    ahead: int = 0
    room: asyncio.Event = field(factory=asyncio.Event)


@define(eq=False)
class HostRoutes:
    """Answers requests to the routes of the plugins.

    Attributes:
        loaded: the plugins.
        peer: the connection, once there is one.
    """

    loaded: Loaded
    peer: Peer = field(init=False)
    _windows: dict[int, _Window] = field(init=False, factory=dict)

    async def answer(self, asked: Asked) -> Answered:
        """Return the answer of a route."""
        # Imported late: most plugins have no routes, and a host without HTTP is smaller.
        from tocsin.core.http.plugin_routes import answered, start
        from tocsin.core.http.problems import Problem

        route = self.loaded.routes[asked.plugin][asked.route]
        begin = partial(start, route, asked.request, asked.query, asked.document, self._view(asked))
        answer = await guarded(lambda: answered(route, begin), None, (ActionError,))
        return _problem(answer) if isinstance(answer, Problem) else Answered(body=answer)

    async def stream(self, number: int, asked: Asked) -> Answered:
        """Send what the generator of a route yields; return when it has ended."""
        from tocsin.core.http.plugin_routes import start
        from tocsin.core.http.problems import Problem

        route = self.loaded.routes[asked.plugin][asked.route]

        async def run() -> Problem | None:
            try:
                generator = start(
                    route, asked.request, asked.query, asked.document, self._view(asked)
                )
            except Problem as problem:
                return problem
            async with aclosing(cast("AsyncGenerator[str | bytes, None]", generator)) as chunks:
                async for chunk in chunks:
                    await self._send(number, fit_chunk(chunk))
            return None

        self._windows[number] = _Window()
        try:
            problem = await guarded(run, None, (ActionError,))
        finally:
            del self._windows[number]
        return Answered() if problem is None else _problem(problem)

    def _view(self, asked: Asked) -> HostView | None:
        return None if asked.view is None else HostView(self.peer, asked.view)

    async def _send(self, number: int, data: bytes) -> None:
        window = self._windows[number]
        window.ahead += len(data) + OVERHEAD
        self.peer.note(methods.CHUNK, (number, data))
        await asyncio.sleep(0)  # others of the plugin run even if the window never fills
        while window.ahead > WINDOW:
            window.room.clear()
            await window.room.wait()

    def grant(self, number: int, size: int) -> None:
        """Record that the core has taken so many bytes of a stream."""
        if window := self._windows.get(number):
            window.ahead -= size
            window.room.set()


def _problem(problem: Problem) -> Answered:
    return Answered(status=problem.status, text=problem.detail, errors=problem.errors)
