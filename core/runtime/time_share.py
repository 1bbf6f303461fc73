"""Shares of the core's time, for what third-party plugins cause and the core has not asked for."""

from __future__ import annotations

import time

from attrs import define, field

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
