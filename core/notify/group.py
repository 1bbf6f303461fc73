"""Stage 1: gather. An idle channel holds a notice for a moment and sends; what comes in the seconds
after a message goes out as the next one. A channel with a ``batch`` collects what is not critical:
the first of it opens a batch, and all that has come until its end goes out together."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from uuid import UUID

from attrs import define, field

from tocsin.core.alerts.outbox import Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.rule import Severity
from tocsin.core.monitor.withdraw import superseded

CROWDED = 500
"""So many rows wait before those go that a newer one makes idle."""


@define
class Group:
    """The rows that wait, with the monotonic time each came at."""

    settings: ChannelSettings
    window_ends: float = 0.0
    crowded: int = CROWDED
    """So many rows have it look for idle ones."""
    _rows: list[tuple[float, Row]] = field(factory=list)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> list[Row]:
        """What waits, oldest first."""
        return [row for _, row in self._rows]

    def put(self, rows: Iterable[Row], now: float) -> None:
        """Rows come in."""
        self._rows += [(now, row) for row in rows]

    def thin(self) -> list[Row]:
        """Where very many wait, as for a channel that is out of order for hours, leave out what a
        newer one of the same alert says, and return it: what is owed then grows with the alerts,
        and not with the time."""
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
        """The monotonic time at which something is to go out, or None. ``but``: alerts whose news
        has to wait."""
        times = (self._ripe_at(at, row) for at, row in self._rows if row.alert not in but)
        first = min(times, default=None)
        return None if first is None else max(first, self.window_ends)

    def take(self, now: float, but: Container[UUID] = ()) -> list[Row]:
        """What goes out now, oldest first; what is still being collected stays."""
        free = [(at, row) for at, row in self._rows if row.alert not in but]
        ripe = {self._collected(row) for at, row in free if self._ripe_at(at, row) <= now}
        return self._take(lambda _, row: row.alert not in but and self._collected(row) in ripe)

    def take_all(self, but: Container[UUID] = ()) -> list[Row]:
        """Everything, oldest first."""
        return self._take(lambda _, row: row.alert not in but)

    def take_older(self, than: float) -> list[Row]:
        """What came at this monotonic time or before."""
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
        """A message has gone out."""
        self.window_ends = now + self.settings.window
