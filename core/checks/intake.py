"""The queue of calls that a source makes from a thread of its own into the core. It is bounded in
length, in rate, and in its share of the core's time; a source that calls faster has to wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tocsin.core.plugin.faults import PluginFault

ROOM = 200
"""Calls that wait to be taken in; a further one waits for room."""

BURST, RATE = 20_000.0, 500.0
"""Calls taken in at once, as for an inventory, and a second from then on."""

SLICE = 0.005
"""Seconds for which calls are taken in before all else has its turn, for as long at least."""

FLOOD = 10.0
"""Seconds without a pause at that rate, after which the source is named."""

PATIENCE = 0.2
"""Seconds between two looks of a thread that waits."""


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
        """Have the core call a function. From any thread but the core's; in the order of calls.

        Raises:
            PluginFault: the run is over.
        """
        if not self._room.acquire(blocking=False):
            self._waits()
            while not self._closed and not self._room.acquire(timeout=PATIENCE):
                self._waits()
        if self._closed:
            time.sleep(PATIENCE)  # a source that keeps calling must not take time from others
            raise PluginFault("goes on telling though its run is over")
        self._calls.append((function, args))
        with self._lock:
            idle, self._scheduled = not self._scheduled, True
        if idle:
            self._loop.call_soon_threadsafe(self._take)

    def close(self) -> None:
        """The run is over: what waits is dropped, and nothing is taken any more."""
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
            self._blame(f"tells more than {RATE:g} things a second; it is slowed down")
