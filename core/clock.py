"""The clock, which tests can replace.

Deadlines and intervals use monotonic time, so that a jump of the wall clock moves none of them.
Wall clock time is only used to label data.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The clock that the core uses."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; the value never decreases."""

    def now(self) -> datetime:
        """Return the wall clock time as an aware datetime in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """Wait for ``event``, at most until the monotonic time ``until`` (None: no limit)."""


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return the seconds of ``time.monotonic``."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the machine's wall clock time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """See :class:`Clock`."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """See :class:`Clock`."""
        if until is None:
            await event.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await event.wait()
