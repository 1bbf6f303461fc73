"""Scheduler: starts checks when they are due, with one heap and one task for all checks.

Each check runs on a grid of monotonic time, ``phase + n × interval``, where the phase is a hash of
its id, so that the load is even. A run that comes due while the previous one is still in progress
is skipped and counted, and so are runs missed while the machine slept. ``runs`` and ``slots`` limit
how many runs are in progress at once, and decide which is next.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from itertools import count
from math import inf
from typing import ClassVar

from attrs import define, field

from tocsin.core.checks.job import Job, Work, phase, slot_after
from tocsin.core.checks.runs import Runs, SchedulerStats
from tocsin.core.checks.slots import CONFIGURATION, Pace, Slots
from tocsin.core.clock import Clock

BURST = 200.0
"""First runs per second after a start: no load spike, and no long wait in small installations."""

SHORTEST_SLEEP = 0.002
"""Minimum sleep, in seconds, so that due checks share a wake-up, which costs as much as a check."""

LOOK_EVERY = 0.1
"""Seconds between checks of how many file descriptors are free."""

LONGEST_SLEEP = 1.0
"""Maximum sleep, in seconds; runs in progress are examined that often even if none is due."""


@define
class Scheduler:
    """Runs checks when they are due.

    Attributes:
        clock: the time.
        limit: maximum number of runs in progress; further runs wait.
        at_once: returns how many of ``limit`` the process's limit of file descriptors allows now.
        room: returns for how many further runs there are file descriptors.
        runs: runs that are in progress or wait.
        skipped_total: number of skipped runs.
        is_keeping_time: whether :meth:`run` is in progress; None before its beginning.
        made_at: when the scheduler was made, in monotonic seconds.
    """

    LIMIT: ClassVar[int] = 1000

    clock: Clock
    limit: int = LIMIT
    at_once: Callable[[int], int] = lambda wanted: wanted
    room: Callable[[], float] = lambda: inf
    runs: Runs = field(init=False)
    skipped_total: int = field(init=False, default=0)
    is_keeping_time: bool | None = field(init=False, default=None)
    made_at: float = field(init=False)
    _jobs: dict[str, Job] = field(init=False, factory=dict)
    _heap: list[tuple[float, int, Job]] = field(init=False, factory=list)
    _last_tick: float = field(init=False)
    _look_at: float = field(init=False, default=-inf)
    _order: count[int] = field(init=False, factory=count)
    _wake: asyncio.Event = field(init=False, factory=asyncio.Event)

    def __attrs_post_init__(self) -> None:
        """Create the runs and their slots."""
        self.runs = Runs(self.clock, Slots(self.at_once(self.limit)))
        self._last_tick = self.made_at = self.clock.monotonic()

    def put(
        self,
        check_id: str,
        interval: float,
        work: Work,
        *,
        spread: float = 0.0,
        owner: str = CONFIGURATION,
        patience: float = inf,
    ) -> None:
        """Add a check, or replace one, whose run is then cancelled.

        Args:
            check_id: ``target/check``.
            interval: seconds between runs.
            work: what its runs do.
            spread: seconds, at most one interval, within which the first run starts, at its phase.
            owner: who requested the check; owners have equal shares of the slots.
            patience: maximum time, in seconds, of a run with all its retries.
        """
        self.remove(check_id)
        now = self.clock.monotonic()
        # With many checks the first run is on the grid, so that no check soon runs a second time.
        place = phase(check_id)
        first = slot_after(place * interval, interval, now)
        if spread < interval:
            first = min(first, now + place * spread)
        target, _, _ = check_id.partition("/")
        share = self.runs.slots.join(owner, Pace.NEW)
        job = Job(check_id, target, interval, place * interval, work, first, share, patience)
        self._jobs[check_id] = job
        self._push(job)

    def remove(self, check_id: str) -> None:
        """Remove a check, if it exists, and cancel its run."""
        if job := self._jobs.pop(check_id, None):
            self.runs.leave(job)

    def owner(self, check_id: str) -> str | None:
        """Return the owner of a check; None if it does not exist."""
        job = self._jobs.get(check_id)
        return None if job is None else job.share.owner

    def hasten(self, check_id: str, seconds: float) -> None:
        """Run a check after ``seconds``, unless it is due earlier; then continue on its grid."""
        job = self._jobs.get(check_id)
        due = self.clock.monotonic() + seconds
        if job is not None and due < job.due:
            job.due = due
            self._push(job)

    def __contains__(self, check_id: str) -> bool:
        return check_id in self._jobs

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def _push(self, job: Job) -> None:
        heapq.heappush(self._heap, (job.due, next(self._order), job))
        if self._heap[0][2] is job:
            self._wake.set()

    def tick(self) -> float | None:
        """Start all runs that are due; return the monotonic time of the next one, or None."""
        now, runs = self.clock.monotonic(), self.runs
        runs.own_time += min(now - self._last_tick, LONGEST_SLEEP)
        self._last_tick = now
        if now >= self._look_at:  # in between, runs keep the count of descriptors
            self._look_at = now + LOOK_EVERY
            runs.room = self.room()
            runs.slots.resize(self.at_once(self.limit))
        runs.make_room(now)
        heap = self._heap
        while heap:
            due, _, job = heap[0]
            if job.gone or due != job.due:
                heapq.heappop(heap)  # the check was removed or rescheduled
                continue
            if due > now:
                return due
            missed = job.advance(now)
            heapq.heapreplace(heap, (job.due, next(self._order), job))
            missed += not runs.begin(job, due, now)
            if missed:
                self.skipped_total += missed
                job.work.skip(missed)
        return None

    async def run(self) -> None:
        """Start due runs until cancelled; then cancel the runs in progress and await their end."""
        self.is_keeping_time = True
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                upcoming = self.tick()
                delay = LONGEST_SLEEP
                if self.runs.slots.waiting:
                    delay /= 4
                if upcoming is not None:
                    delay = max(SHORTEST_SLEEP, min(delay, upcoming - self.clock.monotonic()))
                handle = loop.call_later(delay, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    handle.cancel()
        finally:
            self.is_keeping_time = False
            await self.drain()

    async def drain(self) -> None:
        """Cancel the runs in progress, and wait a few seconds at most for their end."""
        await self.runs.drain(self)

    def stats(self) -> SchedulerStats:
        """Return the scheduler's counters and times."""
        return self.runs.stats(len(self._jobs), self.skipped_total)


def spread_for(checks: int) -> float:
    """Return the seconds over which to spread the first runs of so many checks."""
    return checks / BURST
