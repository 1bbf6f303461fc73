"""When checks run: one heap, one sleeping task, no task per idle check.

Each check has its place on a grid of monotonic time, ``phase + n × interval``, the phase being a
hash of its id, so that load is even. A run that comes due while the one before is still going is
skipped and counted; so are the places missed while the machine slept. How many run at once, and who
is next, is the matter of ``runs`` and ``slots``.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from itertools import count
from math import inf
from typing import ClassVar

from attrs import define, field

from tocsin.core.checks.job import Job, Run, phase, slot_after
from tocsin.core.checks.runs import Runs, SchedulerStats
from tocsin.core.checks.slots import CONFIGURATION, Pace, Slots
from tocsin.core.clock import Clock

BURST = 200.0
"""First runs a second after a start. Slow enough to be no storm, fast enough that a small
installation is seen within a second."""

SHORTEST_SLEEP = 0.002
"""Seconds that what comes due may wait for more to come due: waking up costs as much as a check."""

LOOK_EVERY = 0.1
"""Seconds between two looks at how many runs there are descriptors for."""

LONGEST_SLEEP = 1.0
"""Seconds after which it looks at what runs, though nothing is due."""


@define
class Scheduler:
    """Runs checks on time.

    Attributes:
        clock: the time.
        limit: how many runs may begin before others wait their turn.
        at_once: how many of these the limit of descriptors allows, which may change.
        room: how many more runs there are descriptors for.
        runs: those that are going on, or wait.
        skipped_total: runs that were left out.
        is_keeping_time: whether :meth:`run` is at work.
    """

    LIMIT: ClassVar[int] = 1000

    clock: Clock
    limit: int = LIMIT
    at_once: Callable[[int], int] = lambda wanted: wanted
    room: Callable[[], float] = lambda: inf
    runs: Runs = field(init=False)
    skipped_total: int = field(init=False, default=0)
    is_keeping_time: bool = field(init=False, default=False)
    _jobs: dict[str, Job] = field(init=False, factory=dict)
    _heap: list[tuple[float, int, Job]] = field(init=False, factory=list)
    _last_tick: float = field(init=False)
    _look_at: float = field(init=False, default=-inf)
    _order: count[int] = field(init=False, factory=count)
    _wake: asyncio.Event = field(init=False, factory=asyncio.Event)

    def __attrs_post_init__(self) -> None:
        """Divide the slots."""
        self.runs = Runs(self.clock, Slots(self.at_once(self.limit)))
        self._last_tick = self.clock.monotonic()

    def put(
        self,
        check_id: str,
        interval: float,
        run: Run,
        skipped: Callable[[int], object] = lambda _: None,
        *,
        spread: float = 0.0,
        owner: str = CONFIGURATION,
        patience: float = inf,
    ) -> None:
        """Add a check, or replace one, whose run is then cancelled.

        Args:
            check_id: ``target/check``.
            interval: seconds.
            run: makes one run.
            skipped: is called with the number of runs that were left out.
            spread: seconds, at most one interval, within which the first run comes, by its phase.
            owner: who asks for the check; owners have equal shares of the slots.
            patience: seconds that a run may take with all its tries.
        """
        self.remove(check_id)
        now = self.clock.monotonic()
        # With many checks the first run is that of the grid, so that no check runs twice early on.
        place = phase(check_id)
        first = slot_after(place * interval, interval, now)
        if spread < interval:
            first = min(first, now + place * spread)
        target, _, _ = check_id.partition("/")
        share = self.runs.slots.join(owner, Pace.NEW)
        job = Job(
            check_id, target, interval, place * interval, run, first, skipped, share, patience
        )
        self._jobs[check_id] = job
        self._push(job)

    def remove(self, check_id: str) -> None:
        """Remove a check, if it is there, and cancel the run of it that is going on."""
        if job := self._jobs.pop(check_id, None):
            self.runs.leave(job)

    def owner(self, check_id: str) -> str | None:
        """Who asked for a check; None where there is no such check."""
        job = self._jobs.get(check_id)
        return None if job is None else job.share.owner

    def hasten(self, check_id: str, seconds: float) -> None:
        """Run a check in ``seconds`` from now, if it is not due before; then on its grid again."""
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
        """Begin all that is due now. Returns the monotonic time of the next, None without one."""
        now, runs = self.clock.monotonic(), self.runs
        runs.own_time += min(now - self._last_tick, LONGEST_SLEEP)
        self._last_tick = now
        if now >= self._look_at:  # meanwhile, runs count what they take and give back
            self._look_at = now + LOOK_EVERY
            runs.room = self.room()
            runs.slots.resize(self.at_once(self.limit))
        runs.make_room(now)
        heap = self._heap
        while heap:
            due, _, job = heap[0]
            if job.gone or due != job.due:
                heapq.heappop(heap)  # removed, or moved to another time since
                continue
            if due > now:
                return due
            missed = job.advance(now)
            heapq.heapreplace(heap, (job.due, next(self._order), job))
            missed += not runs.begin(job, due, now)
            if missed:
                self.skipped_total += missed
                job.skipped(missed)
        return None

    async def run(self) -> None:
        """Keep time until cancelled; then cancel what runs and wait for it to end."""
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
        """Cancel the runs that are going on, and wait a few seconds at most for them to end."""
        await self.runs.drain(self)

    def stats(self) -> SchedulerStats:
        """How it fares."""
        return self.runs.stats(len(self._jobs), self.skipped_total)


def spread_for(checks: int) -> float:
    """Seconds over which to spread the first runs of so many checks."""
    return checks / BURST
