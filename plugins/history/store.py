"""The history in PostgreSQL while tocsin runs: writing, housekeeping, and its state.

Writing never delays checks or alerts: rows are written in batches, and spooled to disk while the
database is unavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from tocsin import PluginClock
from tocsin.history import (
    Health,
    HistoryBatch,
    HistoryRuntime,
    HistoryState,
    HistoryUnavailable,
    Record,
)
from tocsin.plugins.history._log import log
from tocsin.plugins.history.connection import (
    TROUBLE,
    Connection,
    Connections,
    Dsn,
    fixed,
    is_trouble,
    reason,
)
from tocsin.plugins.history.embedded import EmbeddedPostgres
from tocsin.plugins.history.housekeeping import tidy
from tocsin.plugins.history.losses import Losses
from tocsin.plugins.history.migrate import migrate
from tocsin.plugins.history.reader import RETENTION, RETENTION_MINUTES, Reader
from tocsin.plugins.history.spool import Spool
from tocsin.plugins.history.trust import ClockTrust
from tocsin.plugins.history.writer import Writer

SPOOL_SIZE = 256_000_000
"""Most bytes of the spool by default."""

READ_DEADLINE = 10.0
"""Seconds for one query."""

TIDY_DEADLINE = 300.0
TIDY_EVERY = 60.0
FULL_EVERY = 60
"""Number of roll-ups between two rounds of retention."""


class Store(Reader, HistoryRuntime):
    """Writes and reads history.

    Args:
        dsn: PostgreSQL URL, or a coroutine function that returns one.
        spool_dir: directory for batches that cannot be written while the database is unavailable.
        clock: clock for the current time.
        retention: how long raw results, container metrics and events are kept, in seconds.
        retention_minutes: how long roll-ups by minute are kept, in seconds.
        spool_size: most bytes of the spool.
    """

    def __init__(
        self,
        dsn: str | Dsn,
        spool_dir: Path,
        *,
        clock: PluginClock,
        retention: float = RETENTION,
        retention_minutes: float = RETENTION_MINUTES,
        spool_size: int = SPOOL_SIZE,
    ) -> None:
        super().__init__(self._connected, clock, retention, retention_minutes)
        give = dsn if callable(dsn) else fixed(dsn)
        self._trust = ClockTrust()
        self._losses = Losses(clock)
        self._spool = Spool(spool_dir, spool_size, self._losses)
        # Separate pools, so that a slow query delays neither writes nor roll-ups, nor these a
        # query.
        self._write = Connections(give, 1)
        self._readers = Connections(give, 4, {"statement_timeout": str(int(READ_DEADLINE * 1000))})
        self._keeper = Connections(give, 1, {"work_mem": "64MB"})
        self._writer = Writer(self._write, self._spool, self._losses, clock, retention, migrate)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the background tasks and return at once.

        The tasks connect to the database. A spool directory that is not usable is only logged: it
        is needed only while the database is unavailable.
        """
        try:
            self._spool.open()
        except OSError as error:
            log.warning("the history spool cannot be used now", reason=str(error))
        self._tasks = [
            asyncio.create_task(self._writer.run(), name="history writer"),
            asyncio.create_task(self._keep_house(), name="history housekeeping"),
        ]

    async def close(self) -> None:
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

    async def write(self, batch: HistoryBatch) -> None:
        """Take over a batch, to be written or spooled at once. Never raises."""
        for record in batch.records:
            self.add(record)
        self._writer.wake()

    def add(self, record: Record) -> None:
        """Take over one record, to be written with the next batch. Never raises."""
        self._writer.add(record)

    async def flush(self) -> None:
        """Write everything that was added so far.

        Raises:
            HistoryUnavailable: the database is unavailable; the items wait in the spool.
        """
        await self._writer.flush()
        if self._writer.disabled is not None:
            raise HistoryUnavailable(self._writer.disabled)
        if self._writer.away is not None or len(self._spool):
            why = self._writer.away[1] if self._writer.away else "batches are still waiting"
            raise HistoryUnavailable(f"the database is unavailable: {why}")

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

    async def state(self) -> HistoryState:
        """Return the state; see :meth:`present`."""
        return self.present()

    def present(self) -> HistoryState:
        """Return the present state: ``degraded`` while history is spooled or was lost recently."""
        if self._writer.disabled is not None:
            return HistoryState(status=Health.DISABLED, message=self._writer.disabled)
        status, message = self._condition()
        return HistoryState(
            status=status,
            message=message,
            details={
                "rows_written": self._writer.written,
                "rows_waiting": self._spool.rows + self._writer.waiting,
                "batches_spooled": len(self._spool),
                "spool_bytes": self._spool.size,
                "rows_dropped": self._losses.rows,
                "rows_too_old": self._writer.lost_old,
                "batches_rejected": self._losses.batches,
            },
            is_readable=self.can_be_read,
            is_complete=self.caught_up,
        )

    def _condition(self) -> tuple[Health, str]:
        losses, away = self._losses, self._writer.away
        if away is not None:
            message = (
                f"unavailable since {away[0]:%Y-%m-%dT%H:%M:%SZ}: {away[1]}; "
                "history is kept on disk meanwhile"
            )
            if losses.recent:
                message += f", except {losses.rows} rows that were dropped"
            return Health.DEGRADED, message
        if not self._writer.reached:
            return Health.OK, "connecting for the first time"
        if losses.recent:
            message = (
                f"{losses.rows} rows were dropped, "
                f"{losses.batches} batches were set aside in {self._spool.aside}"
            )
            return Health.DEGRADED, message
        return Health.OK, ""

    # Reading

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """Open a connection for reading.

        Raises:
            HistoryUnavailable: there is no history, or the database cannot be read now.
        """
        if self._writer.disabled is not None:
            raise HistoryUnavailable(self._writer.disabled)
        if not self._writer.reached and not self._writer.away:
            raise HistoryUnavailable(
                "the first connection to the database is being made; try again"
            )
        if self._writer.away is not None:
            raise HistoryUnavailable(f"history cannot be read now: {self._writer.away[1]}")
        try:
            async with self._readers.use(READ_DEADLINE) as connection:
                yield connection
        except HistoryUnavailable:
            raise
        except (asyncpg.PostgresError, *TROUBLE) as error:
            if is_trouble(error):
                self._readers.drop()
            else:
                log.error("a history query failed", exc_info=True)
            raise HistoryUnavailable(f"history cannot be read now: {reason(error)}") from error


class EmbeddedStore(Store):
    """A store whose server runs as long as the store is open.

    Args:
        directory: data directory of the server.
        spool_dir: see Store.
        **options: see Store.
    """

    def __init__(self, directory: Path, spool_dir: Path, **options: Any) -> None:
        self._server = EmbeddedPostgres()
        super().__init__(partial(self._server.start, directory), spool_dir, **options)

    async def close(self) -> None:
        """Write or spool what is left, then stop the server."""
        await super().close()
        await self._server.stop()
