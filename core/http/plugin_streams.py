"""Streams of plugins: the generator runs in the plugin's isolation, the writing in the core's loop.

Between them is a window of bytes. The generator waits while the window is full, so that a reader
who is slower than the generator costs no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

from aiohttp import web

from tocsin.core.contracts.base import ActionError
from tocsin.core.http.chunks import cut, send_chunk
from tocsin.core.http.keys import STOPPING
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call
from tocsin.core.plugin.sandbox import PluginFault
from tocsin.core.runtime.deadline import deadline
from tocsin.core.shapes import fit_chunk

MOST_STREAMS = 20
"""Most open streams of one plugin."""

WINDOW = 1024 * 1024
"""Bytes that a generator may be ahead of the writing before it has to wait; each wait costs some
turns of the event loop."""

OVERHEAD = 512
"""Bytes that each chunk takes of the window besides its own, so that it bounds their number."""

LOOK_EVERY = 1.0
"""Seconds between two looks whether the client and its token are still there."""

END_WITHIN = 2.0
"""Seconds within which a generator that is cancelled has to end."""


class PluginStream:
    """One open stream.

    The attributes of the generator's side are used in the plugin's loop only, all others in the
    core's; each loop calls the other with ``call_soon_threadsafe``.

    Args:
        plugin: name of the plugin.
        call: the request.
        start: returns the generator; called in the plugin's isolation. It raises Problem if the
            request does not fit.
    """

    def __init__(
        self, plugin: str, call: Call, start: Callable[[], AsyncGenerator[str | bytes, None]]
    ) -> None:
        self._plugin = plugin
        self._call = call
        self._start = start
        self._core = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._changed = asyncio.Event()
        self._stopping = asyncio.ensure_future(call.request.app[STOPPING].wait())
        self._looked_at = self._core.time()
        self._running = asyncio.ensure_future(
            call.monitor.isolation.call(plugin, self._generate, None, expects=(ActionError,))
        )
        self._stopping.add_done_callback(lambda _: self._changed.set())
        self._running.add_done_callback(self._finished)
        # The generator's side.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._ahead = 0
        self._room: asyncio.Event
        self._ended = False

    async def send(self, response: web.StreamResponse, seconds: float) -> None:
        """Write what the generator yields until it ends, the client leaves or tocsin stops. Then
        the generator has ended.

        Args:
            response: the response; prepared once there is a first chunk.
            seconds: time in seconds for the first chunk.

        Raises:
            PluginFault: the generator failed, or goes on after its cancellation.
            ActionError: it refused.
            TimeoutError: there was no chunk in time.
            Problem: the request does not fit, or nothing can be sent any more.
        """
        try:
            with deadline(seconds):
                data = await self._next()
            await response.prepare(self._call.request)
            while data is not None and self._call.request.method != "HEAD":
                await send_chunk(self._call, response, data, self._stopping)
                data = await self._next()
        except ConnectionError as error:
            if not response.prepared:
                raise Problem(503, "the stream ended before it began") from error
            cut(self._call)
        finally:
            self._stopping.cancel()
            await self._end()

    async def _next(self) -> bytes | None:
        """Return what the generator has yielded since the last call; None if it has ended.

        Raises:
            PluginFault, ActionError, Problem: see :meth:`send`.
            ConnectionResetError: the client has left, its token is no longer valid, or tocsin
                stops.
        """
        while self._goes_on():
            self._changed.clear()
            if self._chunks:
                data = b"".join(self._chunks)
                taken = len(data) + OVERHEAD * len(self._chunks)
                self._chunks.clear()
                self._tell(self._grant, taken)
                if data:
                    return data
                continue
            if self._running.done():
                try:
                    if problem := self._running.result():
                        raise problem
                except PluginFault as fault:  # if it was severe, the thread is abandoned already
                    raise PluginFault(str(fault)) from fault
                return None
            with suppress(TimeoutError), deadline(LOOK_EVERY):
                await self._changed.wait()
        raise ConnectionResetError

    def _goes_on(self) -> bool:
        """Return whether there is still somebody to send to."""
        transport = self._call.request.transport
        if self._stopping.done() or transport is None or transport.is_closing():
            return False
        if self._core.time() < self._looked_at + LOOK_EVERY:
            return True
        self._looked_at = self._core.time()
        return self._call.may_go_on()

    async def _end(self) -> None:
        """End the generator.

        Raises:
            PluginFault: it goes on after its cancellation; its thread is abandoned.
        """
        if not self._running.done():
            if self._loop is None:  # it has not begun
                self._running.cancel()
            self._tell(self._cancel)
            try:
                with deadline(END_WITHIN):
                    await asyncio.wait({self._running})
            except TimeoutError:
                fault = PluginFault("has a stream that ignored its cancellation", severe=True)
                raise fault from None

    def _finished(self, running: asyncio.Future[Problem | None]) -> None:
        if not running.cancelled():
            running.exception()  # else asyncio logs that it was never retrieved
        self._changed.set()

    def _tell(self, function: Callable[..., None], *arguments: int) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the plugin's loop has ended
                self._loop.call_soon_threadsafe(function, *arguments)

    def _take(self, data: bytes) -> None:
        self._chunks.append(data)
        self._changed.set()

    async def _generate(self) -> Problem | None:
        """Run the generator and hand over what it yields; return why the request does not fit."""
        self._task, self._room = asyncio.current_task(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            generator = self._start()
            async with aclosing(generator) as chunks:
                async for chunk in chunks:
                    await self._hand_over(fit_chunk(chunk))
        except Problem as problem:  # the isolation would count any error as the plugin's fault
            return problem
        return None

    async def _hand_over(self, data: bytes) -> None:
        self._ahead += len(data) + OVERHEAD
        self._core.call_soon_threadsafe(self._take, data)
        await asyncio.sleep(0)  # others of the plugin run even if the window never fills
        while self._ahead > WINDOW and not self._ended:
            self._room.clear()
            await self._room.wait()
        if self._ended:
            raise PluginFault("yielded after its cancellation")

    def _grant(self, taken: int) -> None:
        self._ahead -= taken
        self._room.set()

    def _cancel(self) -> None:
        self._ended = True
        self._room.set()
        if self._task is not None:
            self._task.cancel()
