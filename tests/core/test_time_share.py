"""Shares of the core's time."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from tocsin.core.runtime import time_share
from tocsin.core.runtime.time_share import TimeShare


def test_what_was_spent_has_to_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the time may be spent, a slice of it at once; what goes beyond is waited for."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    share = TimeShare(0.1)
    assert share.shortage() == 0
    share.spend(0.15)  # the slice is 0.1
    assert share.shortage() == pytest.approx(0.5 + time_share.LEAST_WAIT)
    now[0] += 0.4
    assert share.shortage() == pytest.approx(0.1 + time_share.LEAST_WAIT)
    now[0] += 0.2
    assert share.shortage() == 0
    now[0] += 1000  # what is not used does not add up
    assert share.shortage() == 0
    share.spend(0.2)
    assert share.shortage() == pytest.approx(1.0 + time_share.LEAST_WAIT)


async def test_only_the_steps_of_a_coroutine_take_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waits for takes none; its result and its errors are those of the coroutine."""
    now = [100.0]
    monkeypatch.setattr(time_share, "time", SimpleNamespace(monotonic=lambda: now[0]))
    share = TimeShare(0.5)

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    async def work(error: Exception | None = None) -> str:
        pass_time(0.02)
        asyncio.get_running_loop().call_soon(pass_time, 3600.0)
        await asyncio.sleep(0)
        pass_time(0.03)
        if error is not None:
            raise error
        return "done"

    assert await share.run(work()) == "done"
    assert share._left == pytest.approx(time_share.SLICE - 0.05)
    with pytest.raises(ValueError, match="broken"):
        await share.run(work(ValueError("broken")))


async def test_a_coroutine_is_cancelled_while_it_waits_and_before_it_begins() -> None:
    """Its own clean-up runs; one that has not begun is closed."""
    share, seen = TimeShare(0.1), list[str]()

    async def work() -> None:
        try:
            seen.append("begun")
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            seen.append("ended")

    async def cancelled() -> None:
        task = asyncio.create_task(share.run(work()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    await cancelled()
    assert seen == ["begun", "ended"]
    share.spend(1000.0)
    await cancelled()
    assert seen == ["begun", "ended"]


async def test_work_waits_until_there_is_time_left() -> None:
    """A share that is spent delays what comes next."""
    share = TimeShare(0.5)
    share.spend(time_share.SLICE + 0.05)
    began = time.monotonic()

    async def work() -> float:
        return time.monotonic()

    assert await share.run(work()) - began >= 0.09
