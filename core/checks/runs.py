"""The runs of checks: those in progress, and those that wait for a slot."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from math import inf

from attrs import define, field, frozen

from tocsin.core.checks.job import Job
from tocsin.core.checks.slots import SLOW_AFTER, Pace, Slots
from tocsin.core.clock import Clock

LEAVE_PATIENCE = 5.0
"""Seconds for which the cancelled run of a removed check keeps its slot."""

DRAIN = 3.0
"""Seconds that cancelled runs have to end when tocsin stops."""


@frozen(kw_only=True)
class SchedulerStats:
    """Counters of the scheduler. Lateness is in seconds, over the most recent runs."""

    checks: int = 0
    running: int = 0
    waiting: int = 0
    runs_total: int = 0
    skipped_total: int = 0
    lateness_p50: float = 0.0
    lateness_p99: float = 0.0
    lateness_max: float = 0.0


@define
class Runs:
    """Starts runs, as many at once as there are slots and file descriptors.

    Attributes:
        clock: the time.
        slots: the slots.
        room: number of further runs for which there are file descriptors.
        total: number of runs begun so far.
        own_time: seconds measured by the scheduler, without pauses of the whole process.
        progress: the own time at which a run last began or ended.
        running: jobs with a run in progress.
    """

    clock: Clock
    slots: Slots[Job]
    room: float = inf
    total: int = 0
    own_time: float = 0.0
    progress: float = 0.0
    running: set[Job] = field(factory=set)
    _young: deque[tuple[float, Job, int]] = field(factory=deque)
    """Runs that began less than SLOW_AFTER ago, or were not examined since."""
    _leaving: deque[tuple[float, Job]] = field(factory=deque)
    """Removed checks whose runs were cancelled, and until when they keep their slots."""
    _lateness: deque[float] = field(factory=lambda: deque(maxlen=4096))

    def begin(self, job: Job, due: float, now: float) -> bool:
        """Start a run that is due, or queue it for a slot.

        Args:
            job: the check.
            due: when the run was due, in monotonic seconds.
            now: monotonic seconds.

        Returns:
            False if the previous run has not ended, or still waits.
        """
        if job.running or job.waiting:
            return False
        if self.room > 0 and self.slots.is_free(job.share):
            self._start(job, due, now)
        else:
            job.waiting, job.began, job.waits_since = True, self.own_time, due
            self.slots.push(job.share, job)
        return True

    def make_room(self, now: float) -> None:
        """Count long runs as slow, release the slots of removed checks whose runs do not end, and
        start waiting runs as far as there is room."""
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

    def leave(self, job: Job) -> None:
        """Remove a check: it no longer waits, and its run is cancelled. A run that ignores the
        cancellation loses its slot after LEAVE_PATIENCE seconds."""
        job.gone = True
        self._wait_no_longer(job)
        self.slots.leave(job.share)
        if job.running:
            job.task.cancel()
            job.task.add_done_callback(lambda _: self._ended(job))  # it may not have begun
            self._leaving.append((self.clock.monotonic() + LEAVE_PATIENCE, job))

    def _wait_no_longer(self, job: Job) -> None:
        if job.waiting:
            job.waiting = False
            self.slots.drop(job.share, job)

    def _start(self, job: Job, due: float, now: float) -> None:
        job.running, job.waiting, job.slot = True, False, job.share
        job.began = self.progress = self.own_time
        self.room -= 1
        self.slots.take(job.share)
        self.total += 1
        self._lateness.append(now - due)
        job.task = asyncio.get_running_loop().create_task(self._run(job, now))
        self.running.add(job)
        job.number = self.total
        self._young.append((now, job, job.number))

    async def _run(self, job: Job, began: float) -> None:
        try:
            await job.work.run()
        except Exception as error:  # noqa: BLE001 - an error must not stop the scheduler
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the run of {job.id} failed inside tocsin", "exception": error}
            )
        finally:
            job.running = False
            self.progress = self.own_time
            slow = self.clock.monotonic() - began >= SLOW_AFTER
            pace = Pace.SLOW if slow else Pace.QUICK
            if pace is not job.share.pace and not job.gone:
                before = job.share
                job.share = self.slots.join(before.owner, pace)
                self.slots.leave(before)
            self._ended(job)

    def _ended(self, job: Job) -> None:
        self.running.discard(job)
        self._release(job)

    def _release(self, job: Job) -> None:
        """Release the slot of a run, whether or not it has ended."""
        if job.slot is not None:
            self.slots.give_back(job.slot)
            job.slot = None
            self.room += 1
            self._next()

    def _next(self) -> None:
        """Start waiting runs, as far as there is room."""
        while self.room > 0 and (job := self.slots.pop()) is not None:
            self._start(job, job.waits_since, self.clock.monotonic())

    async def drain(self, jobs: Iterable[Job]) -> None:
        """Cancel the runs in progress, and wait at most DRAIN seconds for their end; runs of
        ``jobs`` that wait for a slot are dropped."""
        for job in jobs:
            self._wait_no_longer(job)
        tasks = [job.task for job in self.running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN)
        for job in self.running:  # some may not have begun
            if job.slot is not None:
                self.slots.give_back(job.slot)
                job.slot = None
        self.running.clear()

    def stats(self, checks: int, skipped: int) -> SchedulerStats:
        """Return the counters; lateness is that of the last 4,096 runs."""
        recent = sorted(self._lateness) or [0.0]
        return SchedulerStats(
            checks=checks,
            running=self.slots.running,
            waiting=self.slots.waiting,
            runs_total=self.total,
            skipped_total=skipped,
            lateness_p50=recent[len(recent) // 2],
            lateness_p99=recent[int(len(recent) * 0.99)],
            lateness_max=recent[-1],
        )
