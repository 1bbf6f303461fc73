"""When checks run: one heap, one sleeping task, no task per idle check.

Each check has its place on a grid of monotonic time, ``phase + n × interval``, the phase being a
hash of its id, so that load is even. A run that comes due while the one before is still going is
skipped and counted; so are the slots missed while the machine slept. How many run at once, and who
is next, is the matter of ``slots``.
"""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from math import inf
from typing import ClassVar

from attrs import define, field, frozen

from tocsin.core.checks.slots import CONFIGURATION, SLOW_AFTER, Pace, Share, Slots
from tocsin.core.clock import Clock

BURST = 200.0
"""First runs a second after a start. Slow enough to be no storm, fast enough that a small
installation is seen within a second."""

LONGEST_SLEEP = 1.0
"""Seconds after which it looks at what runs, though nothing is due."""

LEAVE_PATIENCE = 5.0
"""Seconds for which the cancelled run of a removed check keeps its slot."""

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
    target: str
    interval: float
    offset: float
    """Seconds of its grid past a multiple of the interval."""
    run: Run
    due: float
    skipped: Callable[[int], object]
    share: Share[_Job]
    patience: float
    task: asyncio.Task[None] = field(init=False)
    number: int = 0
    """Of its present run."""
    slot: Share[_Job] | None = None
    """Where its present run is counted."""
    began: float = 0.0
    """When its present run began, or it began to wait, on the scheduler's own time."""
    waits_since: float = 0.0
    """When the run it waits for was due."""
    running: bool = False
    waiting: bool = False
    gone: bool = False


@define
class Scheduler:
    """Runs checks on time. ``limit`` is how many runs may begin before others wait their turn;
    ``at_once`` says how many of these the limit of descriptors allows, which may change, and
    ``room`` how many more there are descriptors for."""

    LIMIT: ClassVar[int] = 1000

    clock: Clock
    limit: int = LIMIT
    at_once: Callable[[int], int] = lambda wanted: wanted
    room: Callable[[], float] = lambda: inf
    runs_total: int = field(init=False, default=0)
    skipped_total: int = field(init=False, default=0)
    own_time: float = field(init=False, default=0.0)
    """Seconds for which it has kept time; a pause of the whole process does not count."""
    progress: float = field(init=False, default=0.0)
    """The own time at which a run began or ended last."""
    is_keeping_time: bool = field(init=False, default=False)
    slots: Slots[_Job] = field(init=False)
    _jobs: dict[str, _Job] = field(init=False, factory=dict)
    _heap: list[tuple[float, int, _Job]] = field(init=False, factory=list)
    _running: set[_Job] = field(init=False, factory=set)
    _young: deque[tuple[float, _Job, int]] = field(init=False, factory=deque)
    """Runs that were begun less than SLOW_AFTER ago, or have not been looked at since."""
    _leaving: deque[tuple[float, _Job]] = field(init=False, factory=deque)
    """Removed checks whose runs were cancelled, and until when their slots wait for that."""
    _room: float = field(init=False, default=inf)
    _last_tick: float = field(init=False)
    _lateness: deque[float] = field(init=False, factory=lambda: deque(maxlen=4096))
    _order: count[int] = field(init=False, factory=count)
    _wake: asyncio.Event = field(init=False, factory=asyncio.Event)

    def __attrs_post_init__(self) -> None:
        """Divide the slots."""
        self.slots = Slots(self.at_once(self.limit))
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
            skipped: is told how many runs were left out.
            spread: seconds, at most one interval, within which the first run comes, by its phase.
            owner: who asks for the check; owners have equal shares of the slots.
            patience: seconds that a run may take with all its tries.
        """
        self.remove(check_id)
        now = self.clock.monotonic()
        # With many checks the first run is that of the grid, so that no check runs twice early on.
        place = phase(check_id)
        first = _slot_after(place * interval, interval, now)
        if spread < interval:
            first = min(first, now + place * spread)
        target, _, _ = check_id.partition("/")
        share = self.slots.join(owner, Pace.NEW)
        job = _Job(
            check_id, target, interval, place * interval, run, first, skipped, share, patience
        )
        self._jobs[check_id] = job
        self._push(job)

    def remove(self, check_id: str) -> None:
        """Take a check away and cancel the run of it that is going on. A run that ignores its
        cancellation loses its slot after LEAVE_PATIENCE seconds; nobody waits for it."""
        if job := self._jobs.pop(check_id, None):
            job.gone = True
            if job.waiting:
                job.waiting = False
                self.slots.drop(job.share, job)
            self.slots.leave(job.share)
            if job.running:
                job.task.cancel()
                job.task.add_done_callback(lambda _: self._over(job))  # it may not have begun
                self._leaving.append((self.clock.monotonic() + LEAVE_PATIENCE, job))

    def owner(self, check_id: str) -> str | None:
        """Who asked for a check that is there."""
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

    def __iter__(self) -> Iterator[_Job]:
        return iter(self._jobs.values())

    def _push(self, job: _Job) -> None:
        heapq.heappush(self._heap, (job.due, next(self._order), job))
        if self._heap[0][2] is job:
            self._wake.set()

    def tick(self) -> float | None:
        """Start all that is due now. Returns the monotonic time of the next, None without one."""
        now = self.clock.monotonic()
        self.own_time += min(now - self._last_tick, LONGEST_SLEEP)
        self._last_tick = now
        self._room = self.room()
        self.slots.resize(self.at_once(self.limit))
        self._make_room(now)
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
            elif self._room > 0 and self.slots.is_free(job.share):
                self._start(job, due, now)
            else:
                job.waiting, job.began, job.waits_since = True, self.own_time, due
                self.slots.push(job.share, job)
            if missed:
                self.skipped_total += missed
                job.skipped(missed)
        return None

    def _make_room(self, now: float) -> None:
        """Count runs that go on for long as slow ones, give up those that do not end, and start
        those that wait for the room."""
        young, slots = self._young, self.slots
        while young and young[0][0] + SLOW_AFTER <= now:
            _, job, number = young.popleft()
            slot = job.slot
            if slot is None or job.number != number or slot.pace is Pace.SLOW:
                continue
            if slots.may_move():
                slots.give_back(slot)
                job.slot = slots.share(slot.owner, Pace.SLOW)
                slots.take(job.slot)
        while self._leaving and self._leaving[0][0] <= now:
            self._release(self._leaving.popleft()[1])
        self._next()

    def _advance(self, job: _Job, now: float) -> int:
        """Move a job to its next place on the grid after ``now``; say how many it missed."""
        upcoming = _slot_after(job.offset, job.interval, now)
        missed = int((now - job.due) / job.interval)
        if upcoming - job.due < job.interval / 2 and upcoming - now < job.interval / 2:
            upcoming += job.interval  # do not run twice in quick succession after the first run
        job.due = upcoming
        return missed

    def _start(self, job: _Job, due: float, now: float) -> None:
        job.running, job.waiting, job.slot = True, False, job.share
        job.began = self.progress = self.own_time
        self._room -= 1
        self.slots.take(job.share)
        self.runs_total += 1
        self._lateness.append(now - due)
        job.task = asyncio.get_running_loop().create_task(self._go(job, now))
        self._running.add(job)
        job.number = self.runs_total
        self._young.append((now, job, job.number))

    async def _go(self, job: _Job, began: float) -> None:
        try:
            await job.run()
        except Exception as error:  # noqa: BLE001 - time is kept, whatever happens
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the run of {job.id} failed inside tocsin", "exception": error}
            )
        finally:
            job.running = False
            self._running.discard(job)
            self.progress = self.own_time
            slow = self.clock.monotonic() - began >= SLOW_AFTER
            pace = Pace.SLOW if slow else Pace.QUICK
            if pace is not job.share.pace and not job.gone:
                before = job.share
                job.share = self.slots.join(before.owner, pace)
                self.slots.leave(before)
            self._release(job)

    def _over(self, job: _Job) -> None:
        """The task of a removed check has ended."""
        self._running.discard(job)
        self._release(job)

    def _release(self, job: _Job) -> None:
        """The slot of a run is free, whether the run has ended or not."""
        if job.slot is not None:
            self.slots.give_back(job.slot)
            job.slot = None
            self._room += 1
            self._next()

    def _next(self) -> None:
        """There is room: start those that wait their turn."""
        while self._room > 0 and (waiting := self.slots.pop()) is not None:
            self._start(waiting, waiting.waits_since, self.clock.monotonic())

    async def run(self) -> None:
        """Keep time until cancelled; then cancel what runs and wait for it to end."""
        self.is_keeping_time = True
        try:
            while True:
                self._wake.clear()
                upcoming = self.tick()
                delay = LONGEST_SLEEP
                if self.slots.waiting:
                    delay /= 4
                if upcoming is not None:
                    delay = max(0.0, min(delay, upcoming - self.clock.monotonic()))
                handle = asyncio.get_running_loop().call_later(delay, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    handle.cancel()
        finally:
            self.is_keeping_time = False
            await self.drain()

    async def drain(self) -> None:
        """Cancel the runs that are going on; wait a few seconds at most for them to end.

        Those that wait their turn are not begun any more.
        """
        for job in self._jobs.values():
            if job.waiting:
                job.waiting = False
                self.slots.drop(job.share, job)
        tasks = [job.task for job in self._running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=3)
        for job in self._running:  # some had not even begun
            if job.slot is not None:
                self.slots.give_back(job.slot)
                job.slot = None
        self._running.clear()

    def stats(self) -> SchedulerStats:
        """How it fares; lateness over the last 4,096 runs."""
        recent = sorted(self._lateness) or [0.0]
        return SchedulerStats(
            checks=len(self._jobs),
            running=self.slots.running,
            waiting=self.slots.waiting,
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
