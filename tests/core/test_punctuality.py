"""Whether checks are really being run, as health and the dead man's switch see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.core.test_scheduler import Recorder, play
from tests.core.test_slots import Tarpit
from tocsin.core.checks.punctuality import STARVED_AFTER, punctuality
from tocsin.core.checks.scheduler import Scheduler
from tocsin.core.contracts.model import Health
from tocsin.testing import SettableClock

Make = Callable[..., Scheduler]


@pytest.fixture
async def keeping(clock: SettableClock) -> AsyncIterator[Make]:
    """Makes a scheduler that counts as running; the test turns it."""
    made: list[Scheduler] = []

    def make(limit: int = 10) -> Scheduler:
        scheduler = Scheduler(clock, limit=limit)
        scheduler.is_keeping_time = True
        made.append(scheduler)
        return scheduler

    yield make
    for scheduler in made:
        await scheduler.drain()


async def test_a_scheduler_that_has_ended_is_failed(clock: SettableClock) -> None:
    """A minute after its making without a run, and after its task has ended, however it ended, no
    check is being run. At the start that is no trouble: tocsin is about to run it."""
    scheduler = Scheduler(clock)
    assert punctuality(scheduler).status is Health.OK
    clock.advance(61)
    assert punctuality(scheduler).status is Health.FAILED
    task = asyncio.create_task(scheduler.run())
    await asyncio.sleep(0)
    assert punctuality(scheduler).status is Health.OK
    task.cancel()
    await asyncio.wait({task})
    assert punctuality(scheduler).status is Health.FAILED


async def test_starved_checks_of_the_configuration_are_a_failure(
    clock: SettableClock, keeping: Make
) -> None:
    """Runs that never end take all slots: the checks that wait are counted, with the longest wait;
    when they run again, all is well again."""
    scheduler, tarpit, recorder = keeping(), Tarpit(clock, 5_000_000), Recorder(clock)
    for n in range(40):
        scheduler.put(f"bad{n}/c", 10, tarpit.of(f"bad{n}/c"))
    await play(scheduler, clock, 15)
    for n in range(3):
        scheduler.put(f"good{n}/c", 10, recorder.of(f"good{n}/c"))
    await play(scheduler, clock, STARVED_AFTER / 2)
    assert punctuality(scheduler).status is Health.OK
    await play(scheduler, clock, STARVED_AFTER)
    told = punctuality(scheduler)
    assert told.status is Health.FAILED
    assert "checks of the configuration wait for their turn, the longest for 1m" in told.message
    assert "no check has been run for 1m" in told.message
    for n in range(40):
        scheduler.remove(f"bad{n}/c")
    await play(scheduler, clock, 15)
    assert len(recorder.runs) == 3
    assert punctuality(scheduler).status is Health.OK


async def test_labels_that_starve_themselves_are_no_failure(
    clock: SettableClock, keeping: Make
) -> None:
    """Checks that labels ask for wait among themselves: degraded, with the source's name, since
    the checks of the configuration are run."""
    scheduler, tarpit, recorder = keeping(), Tarpit(clock, 5_000_000), Recorder(clock)
    for n in range(100):
        scheduler.put(f"bad{n}/c", 10, tarpit.of(f"bad{n}/c"), owner="docker")
    scheduler.put("good/c", 10, recorder.of("good/c"))
    await play(scheduler, clock, 100)
    assert recorder.runs["good/c"] >= 9
    told = punctuality(scheduler)
    assert told.status is Health.DEGRADED
    assert "checks requested by labels that docker reports wait for their turn" in told.message


async def test_runs_that_do_not_end_in_their_time_are_named(
    clock: SettableClock, keeping: Make
) -> None:
    """A run that goes on long after its patience is trouble: degraded while others are run, failed
    where nothing else is."""
    scheduler, tarpit, recorder = keeping(), Tarpit(clock, 5_000_000), Recorder(clock)
    scheduler.put("bad/c", 10, tarpit.of("bad/c"), patience=20)
    scheduler.put("good/c", 10, recorder.of("good/c"), patience=20)
    await play(scheduler, clock, 70)
    assert punctuality(scheduler).status is Health.OK
    await play(scheduler, clock, 20)
    told = punctuality(scheduler)
    assert told.status is Health.DEGRADED
    assert "bad/c" in told.message
    scheduler.remove("good/c")
    await play(scheduler, clock, 70)
    assert punctuality(scheduler).status is Health.FAILED


async def test_neither_quiet_nor_pause_is_starvation(clock: SettableClock, keeping: Make) -> None:
    """A check that runs once a day, no check at all, a machine that slept for an hour with checks
    that waited, and one that hangs within its time are no trouble."""
    scheduler, recorder = keeping(limit=1), Recorder(clock)
    await play(scheduler, clock, 200)
    assert punctuality(scheduler).status is Health.OK
    scheduler.put("daily/c", 86400, recorder.of("daily/c"))
    await play(scheduler, clock, 200)
    assert punctuality(scheduler).status is Health.OK
    recorder.gate.clear()
    for n in range(5):
        scheduler.put(f"t{n}/c", 30, recorder.of(f"t{n}/c"), patience=300)
    await play(scheduler, clock, 20)
    assert scheduler.stats().waiting
    clock.advance(3600)
    assert punctuality(scheduler).status is Health.OK
    scheduler.tick()
    assert punctuality(scheduler).status is Health.OK
    recorder.gate.set()
    await play(scheduler, clock, 60)
    assert punctuality(scheduler).status is Health.OK
