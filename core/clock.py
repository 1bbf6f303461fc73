"""Time, as a part that tests can replace.

Monotonic time schedules, wall time only labels (SPEC: clock jumps move no deadline).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the core asks of time."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""

    def now(self) -> datetime:
        """The wall clock: an aware datetime in UTC."""

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """Return once ``event`` is set, or at the monotonic time ``until`` (None: never)."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds of ``time.monotonic``."""
        return time.monotonic()

    def now(self) -> datetime:
        """The machine's wall clock in UTC."""
        return datetime.now(UTC)

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """See :class:`Clock`."""
        if until is None:
            await event.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await event.wait()
