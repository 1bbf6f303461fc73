"""Timers by which rules are evaluated again without a new result."""

from __future__ import annotations

import heapq
from itertools import count

from attrs import define, field

from tocsin.core.alerts.model import Key


@define
class RecheckTimers:
    """One timer for each alert key.

    Each verdict replaces the timer of the one before; otherwise every result of a restart loop
    would add another recheck.
    """

    _wanted: dict[Key, float] = field(factory=dict)
    _queued: dict[Key, float] = field(factory=dict)
    _heap: list[tuple[float, int, Key]] = field(factory=list)
    _order: count[int] = field(factory=count)

    def want(self, key: Key, at: float | None) -> None:
        """Set the timer of a key to a steady time, or (None) clear it."""
        if at is None:
            self._wanted.pop(key, None)
            return
        self._wanted[key] = at
        if key not in self._queued or at < self._queued[key]:
            self._queued[key] = at
            heapq.heappush(self._heap, (at, next(self._order), key))

    def take(self, now: float) -> Key | None:
        """Return a key whose timer has expired by ``now`` and clear it; None if there is none."""
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._queued.get(key) != at:
                continue
            del self._queued[key]
            wanted = self._wanted.pop(key, None)
            if wanted is not None and wanted <= now:
                return key
            self.want(key, wanted)
        return None

    def next(self) -> float | None:
        """Return the steady time from which :meth:`take` may return a key, or None."""
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)
