"""When rules want to be asked again though nothing new was seen."""

from __future__ import annotations

import heapq
from itertools import count

from attrs import define, field

from tocsin.core.alerts.model import Key


@define
class RecheckTimers:
    """For each alert the one steady time at which its rule is asked again. What a rule wished
    before it last spoke is forgotten: else each result of a restart loop would add a look for ever.
    """

    _wanted: dict[Key, float] = field(factory=dict)
    _queued: dict[Key, float] = field(factory=dict)
    _heap: list[tuple[float, int, Key]] = field(factory=list)
    _order: count[int] = field(factory=count)

    def want(self, key: Key, at: float | None) -> None:
        """A rule wants to be asked at a time; None: no more."""
        if at is None:
            self._wanted.pop(key, None)
            return
        self._wanted[key] = at
        if key not in self._queued or at < self._queued[key]:
            self._queued[key] = at
            heapq.heappush(self._heap, (at, next(self._order), key))

    def take(self, now: float) -> Key | None:
        """An alert whose rule is to be asked now, or None."""
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
        """The steady time of the next :meth:`take` that may give something, or None."""
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)
