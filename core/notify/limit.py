"""Stage 5: a channel's rate limit. Nothing is dropped: what has to wait goes into a digest."""

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
        """The monotonic time from which the next message may go out."""
        while self._sent and now - self._sent[0] >= self.per:
            self._sent.popleft()
        return now if len(self._sent) < self.messages else self._sent[0] + self.per

    def sent(self, now: float) -> None:
        """A message has gone out."""
        self._sent.append(now)
