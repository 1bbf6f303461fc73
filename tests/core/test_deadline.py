"""Deadlines, many of them on one timer."""

from __future__ import annotations

import asyncio
import time

import pytest

from tocsin import deadline
from tocsin.core.runtime.deadline import standstill


async def test_what_takes_too_long_is_ended() -> None:
    """A block past its deadline ends with TimeoutError, and the task goes on unharmed."""
    with pytest.raises(TimeoutError), deadline(0.01) as limit:
        await asyncio.sleep(60)
    assert limit.expired
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_what_is_in_time_is_left_alone() -> None:
    """A block that ends in time, or has no deadline, is never cancelled, nor what comes after."""
    with deadline(0.05) as limit:
        await asyncio.sleep(0)
    with deadline(None):
        await asyncio.sleep(0.15)
    assert not limit.expired


async def test_the_nearer_of_two_counts() -> None:
    """Of nested deadlines the inner one raises inside, the outer one outside."""
    with deadline(60):
        with pytest.raises(TimeoutError), deadline(0.01):
            await asyncio.sleep(60)
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), deadline(0.01), deadline(60) as inner:
        await asyncio.sleep(60)
    assert not inner.expired


async def test_a_cancellation_from_outside_is_none_of_ours() -> None:
    """A task that is cancelled is cancelled, deadline or not."""

    async def work() -> None:
        with deadline(60):
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_as_well_as_a_deadline_is_a_cancellation() -> None:
    """Where somebody cancels the task after its deadline has, it ends as cancelled."""
    held = asyncio.Event()

    async def work() -> None:
        with deadline(0.01):
            try:
                await asyncio.sleep(60)
            finally:
                held.set()
                await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await held.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_thousands_end_on_time() -> None:
    """Of thousands at once each ends by its own deadline."""

    async def work(seconds: float, long: float) -> bool:
        try:
            with deadline(seconds):
                await asyncio.sleep(long)
        except TimeoutError:
            return True
        return False

    ended = await asyncio.gather(
        *(work(*((0.05, 60) if n % 2 else (60, 0.5))) for n in range(2000))
    )
    assert ended == [bool(n % 2) for n in range(2000)]


def test_each_event_loop_has_its_own() -> None:
    """A deadline works in one event loop after another."""

    async def late() -> None:
        with deadline(0.01):
            await asyncio.sleep(60)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(late())


async def test_time_for_which_the_loop_stood_still_does_not_count() -> None:
    """Who is waited for may have answered meanwhile: a deadline that passed while nothing could run
    is moved, and the standstill can be asked for. One that is over by running is over."""
    answer = asyncio.get_running_loop().create_future()
    with standstill() as still, deadline(0.8) as limit:
        await asyncio.sleep(0)
        time.sleep(1.5)  # noqa: ASYNC251 - it is what stands still
        asyncio.get_running_loop().call_later(0.2, answer.set_result, "late")
        assert await answer == "late"
        assert 1 < still.seconds < 2
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(60)
    assert limit.expired


async def test_a_loop_that_runs_does_not_stand_still() -> None:
    """Waiting is no standstill, whatever else has its deadlines."""
    with standstill() as still:
        with pytest.raises(TimeoutError), deadline(0.7):
            await asyncio.sleep(60)
        assert still.seconds == 0
