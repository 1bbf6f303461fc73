"""Grouping: an idle channel waits ``hold`` seconds for further rows before it sends; rows that
arrive in the ``window`` after a message form the next one. A channel with a ``batch`` collects rows
that are not critical: the first opens a batch, and all that arrive until its end are sent together.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from uuid import UUID

from attrs import define, field

from tocsin.core.alerts.outbox import Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.rule import Severity
from tocsin.core.monitor.withdraw import superseded

CROWDED = 500
"""Number of waiting rows from which superseded rows are removed."""


@define
class Group:
    """The waiting rows, each with the monotonic time of its arrival."""

    settings: ChannelSettings
    window_ends: float = 0.0
    crowded: int = CROWDED
    """Number of waiting rows at which :meth:`thin` next removes superseded ones."""
    _rows: list[tuple[float, Row]] = field(factory=list)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> list[Row]:
        """The waiting rows, oldest first."""
        return [row for _, row in self._rows]

    def put(self, rows: Iterable[Row], now: float) -> None:
        """Add rows."""
        self._rows += [(now, row) for row in rows]

    def thin(self) -> list[Row]:
        """Remove and return the rows that a newer one of the same alert supersedes, if very many
        wait (as after hours of outage), so that the backlog grows with the number of alerts and not
        with time."""
        if len(self._rows) < self.crowded:
            return []
        passed, left = superseded(self.rows)
        kept = {row.id for row in passed}
        self._rows = [(at, row) for at, row in self._rows if row.id in kept]
        self.crowded = max(CROWDED, 2 * len(self._rows))
        return left

    def _collected(self, row: Row) -> bool:
        urgent = row.notice is None or row.notice.severity is Severity.CRITICAL
        return self.settings.batch is not None and not urgent

    def _ripe_at(self, at: float, row: Row) -> float:
        batch = self.settings.batch
        return at + (self.settings.hold if batch is None or not self._collected(row) else batch)

    def due(self, but: Container[UUID] = ()) -> float | None:
        """Return the monotonic time at which rows are to be sent, or None.

        ``but``: ids of alerts whose rows have to wait.
        """
        times = (self._ripe_at(at, row) for at, row in self._rows if row.alert not in but)
        first = min(times, default=None)
        return None if first is None else max(first, self.window_ends)

    def take(self, now: float, but: Container[UUID] = ()) -> list[Row]:
        """Remove and return the rows to send now, oldest first; rows of open batches stay."""
        free = [(at, row) for at, row in self._rows if row.alert not in but]
        ripe = {self._collected(row) for at, row in free if self._ripe_at(at, row) <= now}
        return self._take(lambda _, row: row.alert not in but and self._collected(row) in ripe)

    def take_all(self, but: Container[UUID] = ()) -> list[Row]:
        """Remove and return all rows, oldest first."""
        return self._take(lambda _, row: row.alert not in but)

    def take_older(self, than: float) -> list[Row]:
        """Remove and return the rows that arrived at the monotonic time ``than`` or before."""
        return self._take(lambda at, _: at <= than)

    def _take(self, wanted: Callable[[float, Row], bool]) -> list[Row]:
        taken: list[Row] = []
        left: list[tuple[float, Row]] = []
        for at, row in self._rows:
            if wanted(at, row):
                taken.append(row)
            else:
                left.append((at, row))
        self._rows = left
        return taken

    def sent(self, now: float) -> None:
        """Record that a message was sent."""
        self.window_ends = now + self.settings.window
