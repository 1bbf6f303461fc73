"""The history store, as the rest of tocsin uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tocsin.core.boundary import cleaned_rows
from tocsin.core.clock import Clock
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.embedded_host import NO_DATABASE
from tocsin.core.logs import get_logger
from tocsin.core.store import history
from tocsin.core.store.alerts import AlertHistory
from tocsin.core.store.batch import Item
from tocsin.core.store.connection import (
    TROUBLE,
    Connection,
    Connections,
    Dsn,
    StoreUnavailable,
    fixed,
    is_trouble,
    reason,
)
from tocsin.core.store.history import Chart, Sample, Uptime
from tocsin.core.store.housekeeping import tidy
from tocsin.core.store.losses import Losses
from tocsin.core.store.migrate import migrate
from tocsin.core.store.overview import Overview
from tocsin.core.store.spool import Spool
from tocsin.core.store.trust import ClockTrust
from tocsin.core.store.writer import Writer

log = get_logger(__name__)

READ_DEADLINE = 10.0
"""Seconds for one query."""

TIDY_DEADLINE = 300.0
TIDY_EVERY = 60.0
FULL_EVERY = 60
"""Number of roll-ups between two rounds of retention."""


class Store:
    """Writes and reads history.

    Args:
        dsn: PostgreSQL URL, or a coroutine function that returns one (the embedded server's), or
            None for no history.
        spool_dir: directory for batches that cannot be written while the database is unavailable.
        clock: clock for the current time.
        retention: how long raw results, container metrics and events are kept, in seconds.
        retention_minutes: how long roll-ups by minute are kept, in seconds.
        spool_size: most bytes of the spool.
    """

    def __init__(
        self,
        dsn: str | Dsn | None,
        spool_dir: Path,
        *,
        clock: Clock,
        retention: float = 30 * 86400.0,
        retention_minutes: float = 90 * 86400.0,
        spool_size: int = 256_000_000,
    ) -> None:
        give = dsn if callable(dsn) else fixed(dsn or "")
        self.is_own = callable(dsn)
        """Whether this process starts the database server itself."""
        self._clock = clock
        self._retention = timedelta(seconds=retention)
        # Late results are rolled up again, which needs the minutes of their time.
        self._retention_minutes = timedelta(seconds=max(retention, retention_minutes))
        self._trust = ClockTrust()
        self._losses = Losses(clock)
        self._spool = Spool(spool_dir, spool_size, self._losses)
        # Separate pools, so that a slow query delays neither writes nor roll-ups, nor these a
        # query.
        self._write = Connections(give, 1)
        self._readers = Connections(give, 4, {"statement_timeout": str(int(READ_DEADLINE * 1000))})
        self._keeper = Connections(give, 1, {"work_mem": "64MB"})
        self._writer = Writer(self._write, self._spool, self._losses, clock, retention, migrate)
        if dsn is None:
            self._writer.disabled = NO_DATABASE
        self._tasks: list[asyncio.Task[None]] = []
        self.alerts = AlertHistory(self._reading)
        self.overview = Overview(self._reading, self._kept)

    async def start(self) -> None:
        """Start the background tasks and return at once.

        The tasks connect to the database. A spool directory that is not usable is only logged: it
        is needed only while the database is unavailable.
        """
        if self._writer.disabled is not None:
            return
        try:
            self._spool.open()
        except OSError as error:
            log.warning("the history spool cannot be used now", reason=str(error))
        self._tasks = [
            asyncio.create_task(self._writer.run(), name="history writer"),
            asyncio.create_task(self._keep_house(), name="history housekeeping"),
        ]

    async def stop(self) -> None:
        """Write or spool what is left, and close the connections."""
        self._writer.close()
        for task in self._tasks[1:]:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("the history store did not stop cleanly", reason=reason(outcome))
        self._tasks = []
        self._spool.close()
        for connections in (self._write, self._readers, self._keeper):
            await connections.close()

    def write(self, item: Item) -> None:
        """Add an item to history. Never blocks, never raises."""
        self._writer.add(item)

    async def flush(self) -> None:
        """Write everything that was added so far.

        Raises:
            StoreUnavailable: the database is unavailable; the items wait in the spool.
        """
        await self._writer.flush()
        if self._writer.disabled is not None:
            raise StoreUnavailable(self._writer.disabled)
        if self._writer.away is not None or len(self._spool):
            why = self._writer.away[1] if self._writer.away else "batches are still waiting"
            raise StoreUnavailable(f"the database is unavailable: {why}")

    async def tidy(self, *, full: bool = True) -> None:
        """Run one round of housekeeping now.

        Args:
            full: whether to drop old history, too.
        """
        async with self._keeper.use(TIDY_DEADLINE) as connection:
            await tidy(
                connection,
                self._clock,
                self._trust,
                self._retention,
                self._retention_minutes,
                full=full,
            )

    async def _keep_house(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(TIDY_EVERY if rounds else 5.0)
            if not self.can_be_read or self._writer.disabled is not None:
                continue
            try:
                await self.tidy(full=rounds % FULL_EVERY == 0)
                rounds += 1
            except Exception as error:  # noqa: BLE001 - tried again in a minute
                log.warning(
                    "history could not be rolled up or cleaned up; this is tried again",
                    reason=reason(error),
                )

    @property
    def can_be_read(self) -> bool:
        """Return whether the database was reached and is available."""
        return self._writer.reached and self._writer.away is None

    @property
    def caught_up(self) -> bool:
        """Return whether the database is available and has received everything that was spooled."""
        return self.can_be_read and not len(self._spool)

    def health(self) -> ComponentHealth:
        """Return the store's health: ``degraded`` while history is spooled or was lost recently."""
        spool, losses, away = self._spool, self._losses, self._writer.away
        if self._writer.disabled is not None:
            return ComponentHealth(status=Health.DISABLED, message=self._writer.disabled)
        details = {
            "rows_written": self._writer.written,
            "rows_waiting": spool.rows + self._writer.waiting,
            "batches_spooled": len(spool),
            "spool_bytes": spool.size,
            "rows_dropped": losses.rows,
            "rows_too_old": self._writer.lost_old,
            "batches_rejected": losses.batches,
        }
        if away is not None:
            message = (
                f"unavailable since {away[0]:%Y-%m-%dT%H:%M:%SZ}: {away[1]}; "
                "history is kept on disk meanwhile"
            )
            if losses.recent:
                message += f", except {losses.rows} rows that were dropped"
            return ComponentHealth(status=Health.DEGRADED, message=message, details=details)
        if not self._writer.reached:
            return ComponentHealth(
                status=Health.OK, message="connecting for the first time", details=details
            )
        if losses.recent:
            message = (
                f"{losses.rows} rows were dropped, "
                f"{losses.batches} batches were set aside in {spool.aside}"
            )
            return ComponentHealth(status=Health.DEGRADED, message=message, details=details)
        return ComponentHealth(status=Health.OK, details=details)

    # Reading

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        """Open a connection for reading.

        Raises:
            StoreUnavailable: there is no history, or the database cannot be read now.
        """
        if self._writer.disabled is not None:
            raise StoreUnavailable(self._writer.disabled)
        if self._writer.disabled is None and not self._writer.reached and not self._writer.away:
            raise StoreUnavailable("the first connection to the database is being made; try again")
        if self._writer.away is not None:
            raise StoreUnavailable(f"history cannot be read now: {self._writer.away[1]}")
        try:
            async with self._readers.use(READ_DEADLINE) as connection:
                yield connection
        except StoreUnavailable:
            raise
        except (asyncpg.PostgresError, *TROUBLE) as error:
            if is_trouble(error):
                self._readers.drop()
            else:
                log.exception("a history query failed")
            raise StoreUnavailable(f"history cannot be read now: {reason(error)}") from error

    async def container_history(
        self, name: str, since: datetime, until: datetime, points: int = 300
    ) -> Chart:
        """Return the metrics of a container in about ``points`` points.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        return await self.check_history(name, None, since, until, points)

    async def check_history(
        self, target: str, check: str | None, since: datetime, until: datetime, points: int = 300
    ) -> Chart:
        """Return the history of a check in about ``points`` points.

        Args:
            target: name of the target.
            check: name of the check; None for the container's own.
            since: start of the time range.
            until: end of the time range.
            points: about how many points to return.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        async with self._reading() as connection:
            number = await history.check_number(connection, target, check)
            if number is None:
                return Chart(resolution="raw", step=0, points=())
            return await history.read(connection, number, since, until, points, self._kept())

    def _kept(self) -> dict[str, datetime]:
        """Return since when raw data and minutes are kept; hours and days are kept for ever."""
        now = self._clock.now()
        return {"raw": now - self._retention, "1m": now - self._retention_minutes}

    async def results(
        self, target: str, check: str, since: datetime, until: datetime, limit: int
    ) -> list[Sample]:
        """Return raw results of a check, newest first.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        async with self._reading() as connection:
            number = await history.check_number(connection, target, check)
            if number is None:
                return []
            return await history.samples(connection, number, since, until, limit)

    async def uptime(self, target: str, check: str, since: datetime, until: datetime) -> Uptime:
        """Return the number of a check's results by status.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        found = await self.check_history(target, check, since, until, 100)
        return Uptime(
            up=sum(p.up for p in found.points),
            degraded=sum(p.degraded for p in found.points),
            down=sum(p.down for p in found.points),
            unknown=sum(p.unknown for p in found.points),
        )

    async def events(
        self,
        target: str | None,
        since: datetime,
        until: datetime,
        limit: int,
        before: UUID | None = None,
    ) -> list[dict[str, Any]]:
        """Return events, newest first.

        Args:
            target: name of the target; None for all.
            since: start of the time range.
            until: end of the time range, exclusive.
            limit: most events to return.
            before: id of the last event of the previous page.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        return await self._list(
            "SELECT id, at, target, source, action, attributes FROM container_events "
            "WHERE ($1::text IS NULL OR target = $1) AND at >= $2 AND at < $3 "
            "AND ($4::uuid IS NULL OR (at, id) < (SELECT at, id FROM container_events "
            "WHERE id = $4)) ORDER BY at DESC, id DESC LIMIT $5",
            target,
            since,
            until,
            before,
            limit,
        )

    async def audit(self, limit: int, before: UUID | None = None) -> list[dict[str, Any]]:
        """Return rows of the audit log, newest first.

        Args:
            limit: most rows to return.
            before: id of the last row of the previous page.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        return await self._list(
            "SELECT * FROM audit WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
            before,
            limit,
        )

    async def _list(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self._reading() as connection:
            rows = await connection.fetch(query, *arguments)
        decoded = (
            {
                key: msgspec.json.decode(value)
                if key in ("attributes", "details") and value
                else value
                for key, value in row.items()
            }
            for row in rows
        )
        return cleaned_rows(decoded)
