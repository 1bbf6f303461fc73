"""When checks run."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import eventually
from tests.core.works import Doing
from tocsin.core.checks.job import phase
from tocsin.core.checks.scheduler import Scheduler, spread_for
from tocsin.testing import SettableClock


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


class Recorder:
    """Counts runs; a gate can hold them."""

    def __init__(self, clock: SettableClock) -> None:
        self.clock = clock
        self.runs: Counter[str] = Counter()
        self.times: list[float] = []
        self.now = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def of(self, check_id: str) -> Doing:
        async def run() -> None:
            self.runs[check_id] += 1
            self.times.append(self.clock.monotonic())
            self.now += 1
            self.most = max(self.most, self.now)
            await self.gate.wait()
            self.now -= 1

        return Doing(run)


async def play(
    scheduler: Scheduler, clock: SettableClock, seconds: float, step: float = 0.1
) -> None:
    """Let time pass in small steps."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        scheduler.tick()
        await settle()


async def test_each_check_runs_once_an_interval(clock: SettableClock) -> None:
    """Over ten intervals every check runs ten times, give or take the first one."""
    scheduler, recorder = Scheduler(clock), Recorder(clock)
    for n in range(50):
        scheduler.put(f"t{n}/c", 30, recorder.of(f"t{n}/c"), spread=spread_for(50))
    await play(scheduler, clock, 300)
    assert len(recorder.runs) == 50
    assert all(10 <= count <= 11 for count in recorder.runs.values())
    assert scheduler.stats().skipped_total == 0


async def test_a_cold_start_of_10_000_checks_is_even(clock: SettableClock) -> None:
    """All of 10,000 checks run within their first interval, no second above twice the mean."""
    scheduler, recorder = Scheduler(clock, limit=20_000), Recorder(clock)
    start = clock.monotonic()
    for n in range(10_000):
        scheduler.put(f"t{n}/c", 30, recorder.of(f"t{n}/c"), spread=spread_for(10_000))
    await play(scheduler, clock, 30, step=0.5)
    assert len(recorder.runs) == 10_000
    per_second = Counter(int(time - start) for time in recorder.times)
    assert max(per_second.values()) <= 2 * 10_000 / 30


async def test_a_small_installation_is_seen_at_once(clock: SettableClock) -> None:
    """The first runs of a dozen checks come within a tenth of a second, not of an interval."""
    scheduler, recorder = Scheduler(clock), Recorder(clock)
    for n in range(12):
        scheduler.put(f"t{n}/c", 300, recorder.of(f"t{n}/c"), spread=spread_for(12))
    await play(scheduler, clock, 0.1, step=0.02)
    assert len(recorder.runs) == 12


async def test_runs_of_one_check_never_overlap(clock: SettableClock) -> None:
    """While a run goes on, the next ones are skipped and counted, not queued."""
    scheduler, recorder = Scheduler(clock), Recorder(clock)
    skipped: list[int] = []
    scheduler.put("t/c", 10, Doing(recorder.of("t/c").run, skipped.append))
    recorder.gate.clear()
    await play(scheduler, clock, 45)
    assert recorder.runs["t/c"] == 1
    assert recorder.most == 1
    assert 3 <= sum(skipped) == scheduler.stats().skipped_total <= 5
    recorder.gate.set()
    await settle()
    await play(scheduler, clock, 10)
    assert recorder.runs["t/c"] == 2


async def test_a_machine_that_slept_does_not_catch_up(clock: SettableClock) -> None:
    """After an hour of suspend each check runs once, the missed runs are counted."""
    scheduler, recorder = Scheduler(clock), Recorder(clock)
    scheduler.put("t/c", 30, recorder.of("t/c"))
    await play(scheduler, clock, 60)
    before = recorder.runs["t/c"]
    clock.advance(3600)
    scheduler.tick()
    await settle()
    assert recorder.runs["t/c"] == before + 1
    assert 115 <= scheduler.stats().skipped_total <= 120


async def test_a_wall_clock_that_jumps_moves_nothing(clock: SettableClock) -> None:
    """Setting the wall clock an hour back or forward neither stalls nor hastens a check."""
    scheduler, recorder = Scheduler(clock), Recorder(clock)
    scheduler.put("t/c", 30, recorder.of("t/c"))
    from datetime import timedelta

    for jump in (timedelta(hours=-1), timedelta(hours=2)):
        clock.wall += jump
        before = recorder.runs["t/c"]
        await play(scheduler, clock, 60)
        assert recorder.runs["t/c"] - before in (2, 3)


async def test_more_checks_than_may_run_at_once_take_turns(clock: SettableClock) -> None:
    """Above the limit checks wait, first come first served, and all get their turn."""
    scheduler, recorder = Scheduler(clock, limit=5), Recorder(clock)
    recorder.gate.clear()
    for n in range(20):
        scheduler.put(f"t{n}/c", 60, recorder.of(f"t{n}/c"))
    scheduler.tick()
    await settle()
    assert recorder.most == 5
    assert scheduler.stats().waiting == 15
    recorder.gate.set()
    for _ in range(20):
        await settle()
    assert len(recorder.runs) == 20
    assert recorder.most == 5


async def test_stopping_begins_nothing_new(clock: SettableClock) -> None:
    """When the scheduler stops, runs going on are cancelled and those in line are not begun."""
    scheduler, recorder = Scheduler(clock, limit=2), Recorder(clock)
    recorder.gate.clear()
    for n in range(10):
        scheduler.put(f"t{n}/c", 60, recorder.of(f"t{n}/c"))
    scheduler.tick()
    await settle()
    await scheduler.drain()
    await settle()
    assert sum(recorder.runs.values()) == 2
    assert scheduler.stats().running == 0


async def test_a_removed_check_runs_no_more(clock: SettableClock) -> None:
    """A check taken away, even while it waits its turn, is not run again."""
    scheduler, recorder = Scheduler(clock, limit=1), Recorder(clock)
    recorder.gate.clear()
    scheduler.put("a/c", 60, recorder.of("a/c"))
    scheduler.put("b/c", 60, recorder.of("b/c"))
    scheduler.tick()
    await settle()
    scheduler.remove("b/c")
    recorder.gate.set()
    await play(scheduler, clock, 200)
    assert recorder.runs["b/c"] == 0
    assert recorder.runs["a/c"] >= 3


async def test_a_check_can_be_hastened(clock: SettableClock) -> None:
    """A hastened check runs at the moment asked for, and then on its grid again."""
    scheduler, recorder = Scheduler(clock), Recorder(clock)
    scheduler.put("t/c", 100, recorder.of("t/c"))
    await play(scheduler, clock, 1)
    before = recorder.runs["t/c"]
    scheduler.hasten("t/c", 2.0)
    await play(scheduler, clock, 1.5)
    assert recorder.runs["t/c"] == before
    await play(scheduler, clock, 1)
    assert recorder.runs["t/c"] == before + 1
    await play(scheduler, clock, 300)
    assert before + 3 <= recorder.runs["t/c"] <= before + 5


async def test_the_loop_keeps_real_time_and_ends_when_cancelled() -> None:
    """Under the machine's own clock checks run by themselves, and a cancel ends runs going on."""
    from tocsin.core.clock import SystemClock

    scheduler = Scheduler(SystemClock())
    ended = asyncio.Event()
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

    task = asyncio.create_task(scheduler.run())
    scheduler.put("t/c", 0.02, Doing(run))
    await eventually(lambda: runs == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@given(st.lists(st.text(min_size=1), unique=True, max_size=50))
@settings(max_examples=50)
def test_phases_lie_in_the_interval_and_are_the_same_everywhere(names: list[str]) -> None:
    """A check's phase is a fixed number from 0 up to 1."""
    for name in names:
        assert 0 <= phase(name) < 1
        assert phase(name) == phase(name)
    assert phase("web/http") == pytest.approx(0.6666, abs=1e-4)  # of CRC-32
