"""A channel's rate limit. No row is dropped: those that must wait are sent as a digest."""

from __future__ import annotations

from collections import deque

from attrs import define, field


@define
class Limit:
    """At most ``messages`` in any ``per`` seconds."""

    messages: int
    per: float
    _sent: deque[float] = field(factory=deque)

    def free_at(self, now: float) -> float:
        """Return the monotonic time from which the next message may be sent."""
        while self._sent and now - self._sent[0] >= self.per:
            self._sent.popleft()
        return now if len(self._sent) < self.messages else self._sent[0] + self.per

    def sent(self, now: float) -> None:
        """Count a message that was sent at ``now``."""
        self._sent.append(now)
