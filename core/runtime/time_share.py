"""Shares of the core's time, for what third-party plugins cause and the core has not asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

from attrs import define, field

T = TypeVar("T")

SLICE = 0.1
"""Seconds of that time that may be spent at once."""


LEAST_WAIT = 0.001
"""Seconds that something waits at least, if it has to."""


@define(eq=False)
class TimeShare:
    """Time of the event loop that something may use.

    Attributes:
        share: of the whole time.
    """

    share: float
    _left: float = field(init=False, default=SLICE)
    _at: float = field(init=False, factory=lambda: time.monotonic())

    def shortage(self) -> float:
        """Return the seconds until there is time left; 0 if there is some now."""
        now = time.monotonic()
        self._left = min(SLICE, self._left + (now - self._at) * self.share)
        self._at = now
        return 0.0 if self._left > 0 else -self._left / self.share + LEAST_WAIT

    def spend(self, seconds: float) -> None:
        """Record time that was spent."""
        self._left -= seconds

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine once there is time left, and record the time that its steps take; what it
        waits for takes none."""
        try:
            while seconds := self.shortage():  # noqa: ASYNC110 - it is no event
                await asyncio.sleep(seconds)
        except BaseException:
            work.close()
            raise
        return await _Metered(work, self)


@define(eq=False)
class _Metered(Generic[T]):
    """Runs a coroutine and records the time of each step."""

    work: Coroutine[Any, Any, T]
    share: TimeShare

    def __await__(self) -> Generator[Any, Any, T]:
        given: Any = None
        error: BaseException | None = None
        while True:
            began = time.monotonic()
            try:
                waits_for = self.work.send(given) if error is None else self.work.throw(error)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]
            finally:
                self.share.spend(time.monotonic() - began)
            given = error = None
            try:
                given = yield waits_for
            except BaseException as raised:  # noqa: BLE001 - it is the coroutine's
                error = raised
