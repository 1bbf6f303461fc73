"""Looks at things that hang."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.conftest import eventually
from tocsin.plugins.probes._threads import SharedCalls


def looking() -> int:
    """How many threads look at something."""
    return sum(thread.name == "tocsin test" for thread in threading.enumerate())


async def test_what_hangs_holds_one_thread_and_nobody_else() -> None:
    """While a look hangs, further ones at the same thing are refused at once and start no thread;
    looks at other things go on, more of them than a pool has threads; when it comes back, the next
    look is a new one."""
    looks = SharedCalls()
    release = threading.Event()

    def hang() -> str:
        release.wait()
        return "old"

    for n in range(50):
        with pytest.raises(TimeoutError):
            await looks.look("test", n, hang, 0.01)
        with pytest.raises(TimeoutError):
            await looks.look("test", n, hang, 1000)
    assert looking() == 50
    assert await looks.look("test", "other", lambda: "new", 10) == "new"
    release.set()
    await eventually(lambda: looking() == 0)
    assert await looks.look("test", 0, lambda: "new", 10) == "new"


async def test_two_at_once_share_a_look() -> None:
    """Two checks of one disk at the same moment both get the answer; none calls it silent."""
    looks = SharedCalls()
    release = threading.Event()
    seen: list[int] = []

    def look() -> int:
        seen.append(1)
        release.wait()
        return len(seen)

    both = [asyncio.create_task(looks.look("test", "disk", look, 10)) for _ in range(2)]
    await eventually(lambda: seen)
    release.set()
    assert await asyncio.gather(*both) == [1, 1]


async def test_what_a_look_raises_is_raised() -> None:
    """An error goes to whoever asked."""
    looks = SharedCalls()

    def fail() -> None:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        await looks.look("test", "x", fail, 10)
