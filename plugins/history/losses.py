"""Counters of history that was lost before it reached the database."""

from __future__ import annotations

from tocsin import PluginClock

LOSS_TOLD = 3600.0
"""Seconds for which the store's health is degraded after a loss. If it lasted longer, a single lost
row would hide the next problem.
"""


class Losses:
    """Counts losses and remembers when the last one happened."""

    def __init__(self, clock: PluginClock) -> None:
        self._clock = clock
        self._last: float | None = None
        self.rows = 0
        """Rows dropped: valid for no table, refused by the disk, or beyond the spool's limit."""
        self.batches = 0
        """Batches that the database rejected and that were set aside in a file."""

    def drop(self, rows: int) -> None:
        """Count rows that are lost."""
        self.rows += rows
        self._last = self._clock.monotonic()

    def set_aside(self) -> None:
        """Count a batch that was rejected and set aside."""
        self.batches += 1
        self._last = self._clock.monotonic()

    @property
    def recent(self) -> bool:
        """Return whether the last loss is less than :data:`LOSS_TOLD` seconds ago."""
        return self._last is not None and self._clock.monotonic() - self._last < LOSS_TOLD
