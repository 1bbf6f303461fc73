"""A clock for tests."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any


class SettableClock:
    """A clock that moves only when a test advances it; see :class:`tocsin.PluginClock`.

    Args:
        start: the wall clock time at first, aware UTC.

    Attributes:
        seconds: the monotonic time; 1000 at first.
        wall: the wall clock time, which can also be set independently of the monotonic time.
    """

    seconds: float
    wall: datetime

    def __init__(self, start: datetime = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)) -> None:
        self.seconds = 1000.0
        self.wall = start
        self._waiting: list[tuple[float, asyncio.Future[Any]]] = []

    def monotonic(self) -> float:
        """Return the monotonic time in seconds."""
        return self.seconds

    def now(self) -> datetime:
        """Return the wall clock time, aware, in UTC."""
        return self.wall

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)
        for until, waiter in self._waiting:
            if until <= self.seconds and not waiter.done():
                waiter.set_result(None)
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]

    def next_wait(self) -> float | None:
        """Return the earliest monotonic time that is waited for, or None."""
        return min((u for u, waiter in self._waiting if not waiter.done()), default=None)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by a number of seconds."""
        await self.wait(asyncio.Event(), self.seconds + seconds)

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """Wait until ``event`` is set, or the clock is advanced to ``until``."""
        if event.is_set() or (until is not None and until <= self.seconds):
            return
        setting: asyncio.Future[Any] = asyncio.ensure_future(event.wait())
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if until is not None:
            self._waiting.append((until, waiter))
        try:
            await asyncio.wait({setting, waiter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            setting.cancel()
            waiter.cancel()
