"""The queue of calls that a source makes into the core from its own thread. It is limited in
length, rate and share of the core's time; a source that calls faster has to wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tocsin.core.plugin.faults import PluginFault

ROOM = 200
"""Maximum number of queued calls; a further call waits for room."""

BURST, RATE = 20_000.0, 500.0
"""Calls that are accepted at once, as for an inventory, and calls per second afterwards."""

SLICE = 0.005
"""Maximum time, in seconds, of calls in one go; then other tasks run for at least as long."""

FLOOD = 10.0
"""Seconds of calls at that rate without a pause, after which the source is reported."""

PATIENCE = 0.2
"""Seconds between two checks by a thread that waits for room."""


class Intake:
    """The queue of one run of a source.

    Args:
        loop: the core's event loop, in which the queued calls are made.
        blame: called in that loop with a clause when the source floods the queue.
        waits: called in the source's thread while it waits for room.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        blame: Callable[[str], object],
        waits: Callable[[], object],
    ) -> None:
        self._loop, self._blame, self._waits = loop, blame, waits
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._room = threading.BoundedSemaphore(ROOM)
        self._lock = threading.Lock()
        self._scheduled = self._closed = False
        self._left, self._at = BURST, time.monotonic()
        self._busy_since: float | None = None

    def put(self, function: Callable[..., object], *args: Any) -> None:
        """Queue a call of a function in the core's loop. For any thread but the core's; calls are
        made in the same order.

        Args:
            function: the function.
            args: its arguments.

        Raises:
            PluginFault: the run has ended.
        """
        if not self._room.acquire(blocking=False):
            self._waits()
            while not self._closed and not self._room.acquire(timeout=PATIENCE):
                self._waits()
        if self._closed:
            time.sleep(PATIENCE)  # slows down a source that keeps calling
            raise PluginFault("still reports although its run has ended")
        self._calls.append((function, args))
        with self._lock:
            idle, self._scheduled = not self._scheduled, True
        if idle:
            self._loop.call_soon_threadsafe(self._take)

    def close(self) -> None:
        """Drop what is queued and reject further calls, since the run has ended."""
        self._closed = True

    def _take(self) -> None:
        began = now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * RATE)
        self._at = now
        while self._calls and self._left >= 1 and now - began < SLICE:
            function, args = self._calls.popleft()
            self._room.release()
            self._left -= 1
            if not self._closed:
                function(*args)
            now = time.monotonic()
        if self._calls:
            self._note_flood(now)
            pause = 0.0 if self._left >= 1 else (1 - self._left) / RATE
            self._loop.call_later(max(pause, now - began), self._take)
            return
        self._busy_since = None
        with self._lock:
            self._scheduled = bool(self._calls)
        if self._scheduled:
            self._loop.call_later(now - began, self._take)

    def _note_flood(self, now: float) -> None:
        if self._left >= 1:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now
        elif now - self._busy_since >= FLOOD and not self._closed:
            self._busy_since = now
            self._blame(f"reports more than {RATE:g} items a second and is slowed down")
