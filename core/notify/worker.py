"""The life of what works by turns in a task of its own."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from tocsin.core.logs import get_logger

log = get_logger(__name__)

IN_FLIGHT = 5.0
"""Seconds that a turn under way may still take when tocsin stops."""

REST = 1.0
"""Seconds of rest after a turn that failed inside tocsin."""


class Worker(ABC):
    """Works turn after turn until it is stopped.

    Attributes:
        name: of the channel.
        wake: set where there is something to do.
        stopping: set where no further turn begins.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.wake = asyncio.Event()
        self.stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def turn(self) -> None:
        """Wait for something to do, and do it."""

    @abstractmethod
    def recover(self) -> None:
        """Go back to before a turn that failed inside tocsin."""

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._run(), name=f"channel {self.name}")

    async def stop(self) -> None:
        """End; a turn under way has IN_FLIGHT seconds to finish. May be called twice at once, by a
        reload and by the end of tocsin."""
        self.stopping.set()
        self.wake.set()
        if (task := self._task) is not None:
            await asyncio.wait({task}, timeout=IN_FLIGHT)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                await self.turn()
            except Exception:
                log.exception("a channel's turn failed inside tocsin", channel=self.name)
                self.recover()
                await asyncio.sleep(REST)
