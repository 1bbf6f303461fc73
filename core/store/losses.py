"""What history lost on its way: how much since the start, and when that was last."""

from __future__ import annotations

from tocsin.core.clock import Clock

LOSS_TOLD = 3600.0
"""Seconds for which the store counts as degraded after a loss. For longer, one lost row would hide
whatever goes wrong next."""


class Losses:
    """Counts losses; only the newest one says how the store fares."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: float | None = None
        self.rows = 0
        """Rows dropped: unfit for any table, refused by the disk, or too many for the spool."""
        self.batches = 0
        """Batches that the database refused, set aside."""

    def drop(self, rows: int) -> None:
        """Count rows that are gone."""
        self.rows += rows
        self._last = self._clock.monotonic()

    def set_aside(self) -> None:
        """Count a batch that was refused."""
        self.batches += 1
        self._last = self._clock.monotonic()

    @property
    def recent(self) -> bool:
        """Whether the last loss is less than :data:`LOSS_TOLD` ago."""
        return self._last is not None and self._clock.monotonic() - self._last < LOSS_TOLD
