"""Time that moves only when told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SettableClock:
    """A clock for tests; wall time can also be set apart from monotonic time."""

    def __init__(self, start: datetime = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)) -> None:
        self.seconds = 1000.0
        self.wall = start

    def monotonic(self) -> float:
        """Seconds."""
        return self.seconds

    def now(self) -> datetime:
        """Aware UTC."""
        return self.wall

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)
