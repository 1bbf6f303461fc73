"""When checks run: one heap, one sleeping task, no task per idle check.

Each check has its place on a grid of monotonic time, ``phase + n × interval``, the phase being a
hash of its id, so that load is even. A run that comes due while the one before is still going is
skipped and counted; so are the slots missed while the machine slept.
"""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import count

from attrs import define, field, frozen

from tocsin.core.clock import Clock

BURST = 200.0
"""First runs a second after a start. Slow enough to be no storm, fast enough that a small
installation is seen within a second."""

Run = Callable[[], Awaitable[None]]


@frozen(kw_only=True)
class SchedulerStats:
    """How the scheduler fares. Lateness and lag in seconds, over the most recent runs."""

    checks: int = 0
    running: int = 0
    waiting: int = 0
    runs_total: int = 0
    skipped_total: int = 0
    lateness_p50: float = 0.0
    lateness_p99: float = 0.0
    lateness_max: float = 0.0


@define(eq=False)
class _Job:
    id: str
    interval: float
    offset: float
    """Seconds of its grid past a multiple of the interval."""
    run: Run
    due: float
    skipped: Callable[[int], None]
    task: asyncio.Task[None] = field(init=False)
    running: bool = False
    waiting: bool = False
    gone: bool = False


@define
class Scheduler:
    """Runs checks on time. ``limit`` is how many may run at once; others wait their turn."""

    clock: Clock
    limit: int = 1000
    runs_total: int = field(init=False, default=0)
    skipped_total: int = field(init=False, default=0)
    _jobs: dict[str, _Job] = field(init=False, factory=dict)
    _heap: list[tuple[float, int, _Job]] = field(init=False, factory=list)
    _waiting: deque[tuple[float, _Job]] = field(init=False, factory=deque)
    _running: set[asyncio.Task[None]] = field(init=False, factory=set)
    _lateness: deque[float] = field(init=False, factory=lambda: deque(maxlen=4096))
    _order: count[int] = field(init=False, factory=count)
    _wake: asyncio.Event = field(init=False, factory=asyncio.Event)

    def put(
        self,
        check_id: str,
        interval: float,
        run: Run,
        skipped: Callable[[int], None] = lambda _: None,
        *,
        spread: float = 0.0,
    ) -> None:
        """Add a check, or replace one (a run of it that is going on ends as it was).

        Its first run comes within ``spread`` seconds, at most one interval, by its phase.
        ``skipped`` is told how many runs were left out.
        """
        self.remove(check_id)
        now = self.clock.monotonic()
        # With many checks the first run is that of the grid, so that no check runs twice early on.
        place = phase(check_id)
        first = _slot_after(place * interval, interval, now)
        if spread < interval:
            first = min(first, now + place * spread)
        job = _Job(check_id, interval, place * interval, run, first, skipped)
        self._jobs[check_id] = job
        self._push(job)

    def remove(self, check_id: str) -> None:
        """Take a check away; a run of it that is going on ends as it was."""
        if job := self._jobs.pop(check_id, None):
            job.gone = True

    def hasten(self, check_id: str, seconds: float) -> None:
        """Run a check in ``seconds`` from now, if it is not due before; then on its grid again."""
        job = self._jobs.get(check_id)
        due = self.clock.monotonic() + seconds
        if job is not None and due < job.due:
            job.due = due
            self._push(job)

    def __contains__(self, check_id: str) -> bool:
        return check_id in self._jobs

    def _push(self, job: _Job) -> None:
        heapq.heappush(self._heap, (job.due, next(self._order), job))
        if self._heap[0][2] is job:
            self._wake.set()

    def tick(self) -> float | None:
        """Start all that is due now. Returns the monotonic time of the next, None without one."""
        now = self.clock.monotonic()
        heap = self._heap
        while heap:
            due, _, job = heap[0]
            if job.gone or due != job.due:
                heapq.heappop(heap)  # removed, or moved to another time since
                continue
            if due > now:
                return due
            missed = self._advance(job, now)
            heapq.heapreplace(heap, (job.due, next(self._order), job))
            if job.running or job.waiting:
                missed += 1
            elif len(self._running) < self.limit:
                self._start(job, due, now)
            else:
                job.waiting = True
                self._waiting.append((due, job))
            if missed:
                self.skipped_total += missed
                job.skipped(missed)
        return None

    def _advance(self, job: _Job, now: float) -> int:
        """Move a job to its next place on the grid after ``now``; say how many it missed."""
        upcoming = _slot_after(job.offset, job.interval, now)
        missed = int((now - job.due) / job.interval)
        if upcoming - job.due < job.interval / 2 and upcoming - now < job.interval / 2:
            upcoming += job.interval  # do not run twice in quick succession after the first run
        job.due = upcoming
        return missed

    def _start(self, job: _Job, due: float, now: float) -> None:
        job.running, job.waiting = True, False
        self.runs_total += 1
        self._lateness.append(now - due)
        job.task = asyncio.get_running_loop().create_task(self._go(job))
        self._running.add(job.task)

    async def _go(self, job: _Job) -> None:
        try:
            await job.run()
        except Exception as error:  # noqa: BLE001 - time is kept, whatever happens
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the run of {job.id} failed inside tocsin", "exception": error}
            )
        finally:
            job.running = False
            self._running.discard(job.task)
            self._next()

    def _next(self) -> None:
        """There is room: start those that wait their turn."""
        while self._waiting and len(self._running) < self.limit:
            due, waiting = self._waiting.popleft()
            waiting.waiting = False
            if not waiting.gone:
                self._start(waiting, due, self.clock.monotonic())

    async def run(self) -> None:
        """Keep time until cancelled; then cancel what runs and wait for it to end."""
        try:
            while True:
                self._wake.clear()
                upcoming = self.tick()
                if upcoming is None:
                    await self._wake.wait()
                    continue
                delay = max(0.0, upcoming - self.clock.monotonic())
                handle = asyncio.get_running_loop().call_later(delay, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    handle.cancel()
        finally:
            await self.drain()

    async def drain(self) -> None:
        """Cancel the runs that are going on; wait a few seconds at most for them to end.

        Those that wait their turn are not begun any more.
        """
        for _, job in self._waiting:
            job.waiting = False
        self._waiting.clear()
        running = tuple(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=3)
        self._running.difference_update(running)  # some had not even begun

    def stats(self) -> SchedulerStats:
        """How it fares; lateness over the last 4,096 runs."""
        recent = sorted(self._lateness) or [0.0]
        return SchedulerStats(
            checks=len(self._jobs),
            running=len(self._running),
            waiting=len(self._waiting),
            runs_total=self.runs_total,
            skipped_total=self.skipped_total,
            lateness_p50=recent[len(recent) // 2],
            lateness_p99=recent[int(len(recent) * 0.99)],
            lateness_max=recent[-1],
        )


def phase(check_id: str) -> float:
    """A check's place in its interval, from 0 up to 1, by a hash that is the same everywhere."""
    return zlib.crc32(check_id.encode()) / 2**32


def _slot_after(offset: float, interval: float, now: float) -> float:
    """The first place on a check's grid after ``now``, in monotonic seconds."""
    return ((now - offset) // interval + 1) * interval + offset


def spread_for(checks: int) -> float:
    """Seconds over which to spread the first runs of so many checks."""
    return checks / BURST
