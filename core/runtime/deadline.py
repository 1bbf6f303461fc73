"""Thousands of deadlines with one timer, which turns a wheel on which each has a place.

``asyncio.timeout`` sets a separate timer each time, and nearly all of them are cancelled unused;
with thousands of checks a second that costs a tenth of a core.

Time for which the event loop itself stood still (the process was stopped, the machine suspended, a
callback took long) does not count: the answer may have arrived long ago.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

TURN = 0.05
"""Seconds between two turns of the wheel, and so the maximum delay of a deadline."""

STILL = 0.5
"""Seconds between two turns from which on the event loop counts as having been blocked."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that also advances while the machine is suspended, unlike the monotonic one."""


class deadline:  # noqa: N801 - named like asyncio.timeout
    """``with deadline(5): …`` raises TimeoutError if the block takes more seconds (None: never).

    Like ``asyncio.timeout``, for the current task, and up to 50 ms late.
    """

    __slots__ = ("_asked", "_place", "_task", "expired", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.expired = False
        """Whether the deadline passed."""

    def __enter__(self) -> deadline:
        if self.seconds is not None:
            wheel = _wheel()
            self._task = wheel.current_task()
            self._asked = self._task.cancelling()
            self._place = wheel.put(self, self.seconds)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if self.seconds is None:
            return
        if not self.expired:
            self._place.discard(self)
        elif self._task.uncancel() <= self._asked and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task, since the deadline has passed."""
        self.expired = True
        self._task.cancel()


class standstill:  # noqa: N801 - named like deadline
    """``with standstill() as still: …``; ``still.seconds`` is the time for which the event loop has
    stood still since the block began, including that of a suspended machine."""

    __slots__ = ("_before", "_wheel")

    def __enter__(self) -> standstill:
        self._wheel = _wheel()
        self._before = self._wheel.stand_still_total()
        self._wheel.watch(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._wheel.watch(-1)

    @property
    def seconds(self) -> float:
        """Seconds of standstill since the block began; read inside the block."""
        return self._wheel.stand_still_total() - self._before


def lost_clock() -> Callable[[], float]:
    """Return a function, callable from any thread, that returns how many seconds of monotonic time
    the running event loop has stood still while anything had a deadline; 0 without an event
    loop."""
    try:
        return _wheel().lost
    except RuntimeError:
        return lambda: 0.0


class _Wheel:
    """All deadlines of one event loop, by the turn at which they end. Turns are counted in time
    during which the loop did not stand still."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._places: dict[int, set[deadline]] = {}
        self._turning = False
        self._watchers = 0
        self._turned = self._turned_by_clock = 0.0
        """When it last turned, by the monotonic clock and by _CLOCK."""
        self._lost = self._still = 0.0
        """Seconds for which the loop stood still: by the monotonic clock, and by _CLOCK."""

    def current_task(self) -> asyncio.Task[object]:
        """Return the task that a deadline is for."""
        task = asyncio.current_task(self.loop)
        if task is None:
            raise RuntimeError("a deadline can only be used inside a task")
        return task

    def put(self, one: deadline, seconds: float) -> set[deadline]:
        """Add a deadline; return the set that it is in."""
        self._begin()
        number = int((self._now() + max(0.0, seconds)) / TURN) + 1
        place = self._places.get(number)
        if place is None:
            place = self._places[number] = set()
        place.add(one)
        return place

    def watch(self, more: int) -> None:
        """Change the number of ``standstill`` blocks by ``more``; they keep the wheel turning."""
        self._watchers += more
        self._begin()

    def stand_still_total(self) -> float:
        """Return the seconds for which the loop has stood still while the wheel turned. The first
        call after a standstill records it."""
        if self._turning:
            by_clock = time.clock_gettime(_CLOCK)
            if by_clock - self._turned_by_clock > STILL:
                self._still += by_clock - self._turned_by_clock - TURN
                self._turned_by_clock = by_clock
        return self._still

    def lost(self) -> float:
        """Return the same without the time of a suspended machine. For any thread."""
        since = time.monotonic() - self._turned
        return self._lost + (since - TURN if self._turning and since > STILL else 0.0)

    def _begin(self) -> None:
        if not self._turning:
            self._turning = True
            self._turned, self._turned_by_clock = time.monotonic(), time.clock_gettime(_CLOCK)
            self.loop.call_later(TURN, self._turn)

    def _now(self) -> float:
        """Return the monotonic time without standstills. The first call after one records it."""
        now = time.monotonic()
        if self._turning and now - self._turned > STILL:
            self._lost += now - self._turned - TURN
            self._turned = now
        return now - self._lost

    def _turn(self) -> None:
        now = int(self._now() / TURN)
        self.stand_still_total()
        self._turned, self._turned_by_clock = time.monotonic(), time.clock_gettime(_CLOCK)
        for number in [number for number in self._places if number <= now]:
            for one in self._places.pop(number):
                one.expire()
        for number in [number for number, place in self._places.items() if not place]:
            del self._places[number]
        self._turning = bool(self._places) or self._watchers > 0
        if self._turning:
            self.loop.call_later(TURN, self._turn)


def _wheel() -> _Wheel:
    """Return the wheel of the running event loop."""
    loop = asyncio.get_running_loop()
    kept = vars(loop)
    wheel: _Wheel = kept.get("tocsin_wheel") or kept.setdefault("tocsin_wheel", _Wheel(loop))
    return wheel
