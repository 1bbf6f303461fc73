"""Decides whether the wall clock may be used to drop old history.

Dropped history cannot be restored, and machines sometimes boot with clocks that are weeks ahead.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define

from tocsin.plugins.history._log import log
from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.partitions import day_of, newest_day_before

JUMP = 300.0
"""Seconds by which two readings may differ before the clock counts as set, or as wrong."""

DOUBT = 3600.0
"""Seconds for which a clock has to run steadily before it is trusted, if there are days without
history before it.
"""


@define
class ClockTrust:
    """Compares the wall clock with the monotonic one, the database's, and the stored history."""

    _offset: float | None = None
    """Wall clock minus monotonic time at the last look, in seconds."""
    _since: float = 0.0
    """Monotonic time since which the wall clock has run steadily."""
    _began: datetime | None = None
    """Wall clock time at that moment."""

    def look(self, now: datetime, monotonic: float) -> None:
        """Compare the wall clock with the monotonic one.

        Call this about every minute, so that a jump is noticed.

        Args:
            now: wall clock time.
            monotonic: monotonic time, in seconds.
        """
        offset = now.timestamp() - monotonic
        if self._offset is None or abs(offset - self._offset) > JUMP:
            self._since, self._began = monotonic, now
        self._offset = offset

    async def believed(
        self, connection: Connection, now: datetime, monotonic: float
    ) -> datetime | None:
        """Return the time by which history may be dropped; None if no clock can be trusted.

        It is the earlier one of tocsin's and the database's clock. No clock is trusted for an hour
        after a start or a jump that leaves a day or more without history: either tocsin was off, or
        the clock is ahead.

        Args:
            connection: a connection to the database.
            now: wall clock time.
            monotonic: monotonic time, in seconds.
        """
        self.look(now, monotonic)
        server: datetime = await connection.fetchval("SELECT now()")
        if abs((server - now).total_seconds()) > JUMP:
            log.warning("the clocks of tocsin and of the database differ; the one that is behind "
                        "decides which history is old", here=now.isoformat(),
                        database=server.isoformat())  # fmt: skip
        if self._began is not None and monotonic - self._since < DOUBT:
            today = day_of(self._began)
            newest = await newest_day_before(connection, today)
            if newest is not None and newest < today - timedelta(days=1):
                log.warning(
                    "no history is dropped for an hour: tocsin was off for long, or the clock is "
                    "wrong",
                    newest=newest.isoformat(), today=today.isoformat(),
                )  # fmt: skip
                return None
        return min(now, server)
