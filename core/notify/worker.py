"""A worker: a task that repeats one turn of work until it is stopped."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from tocsin.core.logs import get_logger

log = get_logger(__name__)

IN_FLIGHT = 5.0
"""Seconds that a turn in progress may still take when the worker stops."""

REST = 1.0
"""Pause, in seconds, after a turn that failed because of an error in tocsin."""


class Worker(ABC):
    """Runs one turn after the other until it is stopped.

    Attributes:
        name: of the channel.
        wake: set when there is work to do.
        stopping: set when no further turn may begin.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.wake = asyncio.Event()
        self.stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def turn(self) -> None:
        """Wait for work and do it."""

    @abstractmethod
    def recover(self) -> None:
        """Restore the state before a turn that failed because of an error in tocsin."""

    def start(self) -> None:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name=f"channel {self.name}")

    async def stop(self) -> None:
        """Stop; a turn in progress has IN_FLIGHT seconds to finish.

        A reload and the shutdown may call it at the same time.
        """
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
