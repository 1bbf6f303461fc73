"""A check as the scheduler manages it: its schedule, and its present run."""

from __future__ import annotations

import asyncio
import zlib
from typing import Protocol

from attrs import define, field

from tocsin.core.checks.slots import Share


class Work(Protocol):
    """What the scheduler has to do for a check."""

    async def run(self) -> None:
        """Make one run."""

    def skip(self, missed: int) -> None:
        """Note that runs were left out.

        Args:
            missed: their number.
        """


@define(eq=False)
class Job:
    """A check on its grid of monotonic time. All times are in seconds.

    Attributes:
        id: ``target/check``.
        target: its target.
        interval: time between two places on its grid.
        offset: time by which its grid is shifted from multiples of the interval.
        work: what its runs do.
        due: when it is to run next.
        share: its share of the slots, by owner and pace.
        patience: maximum time of a run with all its retries.
        task: the task of its present run.
        number: number of its present run.
        slot: the share in which its present run is counted.
        began: when its present run began, or began to wait, in the scheduler's own time.
        waits_since: when the run that waits for a slot was due.
        gone: whether it was removed.
    """

    id: str
    target: str
    interval: float
    offset: float
    work: Work
    due: float
    share: Share[Job]
    patience: float
    task: asyncio.Task[None] = field(init=False)
    number: int = 0
    slot: Share[Job] | None = None
    began: float = 0.0
    waits_since: float = 0.0
    running: bool = False
    waiting: bool = False
    gone: bool = False

    def advance(self, now: float) -> int:
        """Move on to the first place on the grid after ``now``; return how many were missed."""
        upcoming = slot_after(self.offset, self.interval, now)
        missed = int((now - self.due) / self.interval)
        half = self.interval / 2
        if upcoming - self.due < half and upcoming - now < half:
            upcoming += self.interval  # no second run soon after the first one
        self.due = upcoming
        return missed


def phase(check_id: str) -> float:
    """Return a check's place in its interval, from 0 up to 1: a hash that never changes."""
    return zlib.crc32(check_id.encode()) / 2**32


def slot_after(offset: float, interval: float, now: float) -> float:
    """Return the first place on a check's grid after ``now``, in monotonic seconds."""
    return ((now - offset) // interval + 1) * interval + offset
