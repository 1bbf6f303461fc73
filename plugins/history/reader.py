"""The queries of a history in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

import asyncpg

from tocsin import Observation, PluginClock
from tocsin.history import (
    Chart,
    HistoryReader,
    HistoryUnavailable,
    Trends,
    Uptimes,
)
from tocsin.plugins.history import charts
from tocsin.plugins.history.connection import TROUBLE, Connection, Connections, fixed, reason
from tocsin.plugins.history.embedded import EmbeddedPostgres
from tocsin.plugins.history.overview import Overview
from tocsin.plugins.history.queries import Queries

DAY = 86400.0
RETENTION = 30 * DAY
"""Seconds for which raw results, container metrics and events are kept by default."""

RETENTION_MINUTES = 90 * DAY
"""The same for roll-ups by minute."""

COMMAND_DEADLINE = 120.0
"""Seconds for one query of a command."""


class Reader(Queries, HistoryReader):
    """Answers queries.

    Args:
        reading: opens a connection for reading; raises HistoryUnavailable if there is none.
        clock: the clock.
        retention: how long raw results, container metrics and events are kept, in seconds.
        retention_minutes: how long roll-ups by minute are kept, in seconds.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractAsyncContextManager[Connection]],
        clock: PluginClock,
        retention: float = RETENTION,
        retention_minutes: float = RETENTION_MINUTES,
    ) -> None:
        super().__init__(reading, clock)
        self._retention = timedelta(seconds=retention)
        # Late results are rolled up again, which needs the minutes of their time.
        self._retention_minutes = timedelta(seconds=max(retention, retention_minutes))
        self._overview = Overview(reading, self._kept)

    def _kept(self) -> dict[str, datetime]:
        """Return since when raw data and minutes are kept; hours and days are kept for ever."""
        now = self._clock.now()
        return {"raw": now - self._retention, "1m": now - self._retention_minutes}

    async def chart(
        self, target: str, check: str | None, since: datetime, until: datetime, points: int = 300
    ) -> Chart:
        """Return the course of a check; see HistoryReader."""
        async with self._reading() as connection:
            number = await charts.check_number(connection, target, check)
            if number is None:
                return Chart(resolution="raw", step=0, points=())
            return await charts.read(connection, number, since, until, points, self._kept())

    async def results(
        self, target: str, check: str, since: datetime, until: datetime, limit: int
    ) -> list[Observation]:
        """Return results of a check, newest first; see HistoryReader."""
        async with self._reading() as connection:
            return await charts.results(connection, target, check, since, until, limit)

    async def uptimes(
        self, checks: Collection[tuple[str, str]], since: datetime, until: datetime, points: int
    ) -> Uptimes:
        """Count the results of targets by status and point; see HistoryReader."""
        return await self._overview.uptimes(checks, since, until, points)

    async def availability(
        self, checks: Collection[tuple[str, str, float]], since: datetime, until: datetime
    ) -> Mapping[str, float | None]:
        """Return the share of time in which no check was down; see HistoryReader."""
        return await self._overview.availability(checks, since, until)

    async def trends(
        self,
        checks: Collection[tuple[str, str]],
        metric: str,
        since: datetime,
        until: datetime,
        *,
        top: int,
        points: int,
    ) -> Trends:
        """Return the course of a metric for its highest targets; see HistoryReader."""
        return await self._overview.trends(checks, metric, since, until, top=top, points=points)


class CommandReader(Reader):
    """Answers the queries of a command.

    Args:
        dsn: the URL of the database.
        clock: the clock.
        server: the server to be stopped at the end; None: it is left alone.
    """

    def __init__(self, dsn: str, clock: PluginClock, server: EmbeddedPostgres | None) -> None:
        super().__init__(self._connected, clock)
        self._connections = Connections(fixed(dsn), 1)
        self._server = server

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        try:
            async with self._connections.use(COMMAND_DEADLINE) as connection:
                yield connection
        except (asyncpg.PostgresError, *TROUBLE) as error:
            raise HistoryUnavailable(reason(error)) from error

    async def close(self) -> None:
        """Close the connection, and stop the server."""
        await self._connections.close()
        if self._server is not None:
            await self._server.stop()
