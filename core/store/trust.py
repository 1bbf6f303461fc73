"""Whether the wall clock may say what is past its time: history that was dropped does not come
back, and machines boot with clocks that are weeks ahead."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define

from tocsin.core.logs import get_logger
from tocsin.core.store.connection import Connection
from tocsin.core.store.partitions import day_of, newest_day_before

log = get_logger(__name__)

JUMP = 300.0
"""Seconds by which a clock may be off before it counts as set, or as another one's."""

DOUBT = 3600.0
"""Seconds for which a clock that left days without history behind has to agree with itself."""


@define
class ClockTrust:
    """What is known of the wall clock, by the monotonic one, the database and its rows."""

    _offset: float | None = None
    """Wall clock less monotonic time, in seconds, when it was looked at last."""
    _since: float = 0.0
    """From which monotonic time on the clock has agreed with itself."""
    _began: datetime | None = None
    """What it said then."""

    def look(self, now: datetime, monotonic: float) -> None:
        """Look at the clock; to be called every minute or so, so that a leap is noticed."""
        offset = now.timestamp() - monotonic
        if self._offset is None or abs(offset - self._offset) > JUMP:
            self._since, self._began = monotonic, now
        self._offset = offset

    async def believed(
        self, connection: Connection, now: datetime, monotonic: float
    ) -> datetime | None:
        """The time by which history may be dropped: of tocsin's and the database's clock, the one
        that is behind; or None while no clock is to be believed.

        That is so for an hour after a start, or a leap, that has left a day or more without history
        behind: tocsin was off, or the clock is ahead.
        """
        self.look(now, monotonic)
        server: datetime = await connection.fetchval("SELECT now()")
        if abs((server - now).total_seconds()) > JUMP:
            log.warning("the clocks of tocsin and of the database differ; history is dropped by "
                        "the one that is behind", here=now.isoformat(),
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
