"""Writing history: in batches, which are spooled while the database is unavailable."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from tocsin import PluginClock
from tocsin.history import Record
from tocsin.plugins.history._log import log
from tocsin.plugins.history.batch import Batch, halves, new_id
from tocsin.plugins.history.collector import Collector
from tocsin.plugins.history.connection import Connection, Connections, is_trouble, reason
from tocsin.plugins.history.embedded_host import EmbeddedMissing
from tocsin.plugins.history.ingest import WRITE_DEADLINE, Ingest
from tocsin.plugins.history.losses import Losses
from tocsin.plugins.history.spool import Spool

BATCH_SECONDS = 1.0
REPLAY_SECONDS = 1.0
"""Seconds after which a replay of the spool pauses, to write what was collected meanwhile."""

PING_SECONDS = 15.0
"""Seconds between two checks that the database is available while there is nothing to write."""

RETRY = (0.5, 10.0)
"""Seconds between two attempts to reach the database: at first, and at most (doubled each time)."""

SPLITS = 40
"""How often a rejected batch is split in two to isolate the rejected row and write the others."""


class Writer:
    """Accepts items at any time and writes them when the database is available.

    ``away`` holds since when and why the database is unavailable, or None.

    Args:
        connections: pool of connections for writing.
        spool: queue on disk for batches that cannot be written now.
        losses: counts what is lost.
        clock: clock for the current time.
        retention: age in seconds from which on rows are not written.
        prepare: called on the first connection after each outage (migrations).
    """

    def __init__(
        self,
        connections: Connections,
        spool: Spool,
        losses: Losses,
        clock: PluginClock,
        retention: float,
        prepare: Callable[[Connection], Awaitable[object]],
    ) -> None:
        self._connections = connections
        self._spool = spool
        self._losses = losses
        self._clock = clock
        self._prepare = prepare
        self._ingest = Ingest(clock, timedelta(seconds=retention))
        self._collector = Collector()
        self._wake = asyncio.Event()
        self._closing = False
        self._prepared = False
        self.reached = False
        """Whether the database was reached at least once."""
        self._retry_at = self._ping_at = 0.0
        self._backoff = RETRY[0]
        self._busy = asyncio.Lock()
        self.away: tuple[datetime, str] | None = None
        self.disabled: str | None = None
        """Why no history is kept at all, in a sentence; None if it is."""
        self.written = 0

    def add(self, item: Record) -> None:
        """Add an item. Never blocks, never raises."""
        if self.disabled is not None:
            return
        try:
            self._collector.add(item)
        except Exception as error:  # noqa: BLE001 - a plugin's value must not stop the others
            self._losses.drop(1)
            log.warning(
                "an item cannot be stored in history and is dropped",
                target=_name(item),
                reason=reason(error),
            )

    def wake(self) -> None:
        """Have what was added written or spooled at once."""
        self._wake.set()

    def close(self) -> None:
        """Make ``run`` write or spool what is left, and end."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Write until closed. The first attempt is made at once: the start may wait for history."""
        self._wake.set()
        while not self._closing:
            if self.away or self.disabled or not len(self._spool):
                with suppress(TimeoutError):
                    async with asyncio.timeout(BATCH_SECONDS):
                        await self._wake.wait()
            self._wake.clear()
            try:
                await self.turn()
            except Exception as error:  # noqa: BLE001 - most likely an error of the disk
                log.error("history could not be written", reason=reason(error), exc_info=True)
                await asyncio.sleep(BATCH_SECONDS)
        await self.turn()

    async def flush(self) -> None:
        """Write everything collected so far, or return when the database is unavailable."""
        await self.turn(now=True)
        while len(self._spool) and self.away is None and self.disabled is None:
            await self.turn()

    async def turn(self, *, now: bool = False) -> None:
        """Write what was collected to the database, or to the spool while that is unavailable.

        Args:
            now: whether to try the database even if the next attempt is not due yet.

        Raises:
            OSError: the spool cannot be read or written.
        """
        async with self._busy:
            batch = self._collector.take()
            if self.disabled is not None:
                return
            kept = not len(batch)
            try:
                if self.away is None and not len(self._spool):
                    if not kept:
                        kept = await self._try(batch)
                    elif self._clock.monotonic() >= self._ping_at:
                        await self._try(batch)
                    now = False
                if not kept and self.disabled is None:
                    await self._keep(batch)
                kept = True
                due = now or self._clock.monotonic() >= self._retry_at
                if due and (len(self._spool) or self.away is not None):
                    await self._replay()
            except BaseException:
                # Cancelled half-way: the id shows later whether the batch was written.
                if not kept:
                    self._spool.put_now(batch)
                raise

    async def _replay(self) -> None:
        """Write spooled batches, oldest first, for at most :data:`REPLAY_SECONDS`."""
        until = self._clock.monotonic() + REPLAY_SECONDS
        while (batch := self._spool.first()) is not None:
            if not await self._try(batch):
                return
            self._spool.done(batch.id)
            if self._clock.monotonic() >= until:
                return
        if self.away is not None:
            # An empty batch only shows whether the database is available again.
            await self._try(Batch(new_id()))

    async def _keep(self, batch: Batch) -> None:
        """Put a batch into the spool, or count it as lost."""
        try:
            await self._spool.put(batch)
        except (OSError, OverflowError) as error:
            self._losses.drop(len(batch))
            log.error("history cannot be spooled and is lost", rows=len(batch), reason=str(error))

    async def _try(self, batch: Batch) -> bool:
        """Write a batch, splitting it if the database rejects it.

        Returns:
            True if the batch is done (written, and what was rejected set aside); False if the
                database is unavailable.
        """
        pieces, splits = [batch], SPLITS
        while pieces:
            piece = pieces.pop()
            try:
                self.written += await self._once(piece)
            except EmbeddedMissing as error:
                self.disabled = str(error)
                log.warning("no history is kept", reason=self.disabled)
                return False
            except Exception as error:  # noqa: BLE001 - history must not stop the rest
                if is_trouble(error) or not self._prepared:
                    self._lose(reason(error))
                    return False
                if len(piece) > 1 and splits:
                    splits -= 1
                    pieces.extend(reversed(halves(piece)))
                else:
                    await self._refuse(piece, reason(error))
        self._regain()
        return True

    async def _once(self, batch: Batch) -> int:
        """Write a batch in one transaction, on a first connection after the migrations."""
        async with self._connections.use(WRITE_DEADLINE) as connection:
            if not self._prepared:
                self._ingest.forget()
                await self._prepare(connection)
                self._prepared = self.reached = True
            if len(batch):
                return await self._ingest.write(connection, batch)
            await connection.fetchval("SELECT 1")
            return 0

    async def _refuse(self, batch: Batch, why: str) -> None:
        """Set a rejected batch aside in a file, or count it as lost."""
        try:
            await self._spool.reject(batch, why)
        except (OSError, OverflowError) as error:
            self._losses.drop(len(batch))
            log.error(
                "history that the database rejected cannot be set aside and is lost",
                rows=len(batch),
                why=why,
                reason=str(error),
            )

    def _lose(self, why: str) -> None:
        """Note that the database is unavailable, and schedule the next attempt."""
        if self.away is None:
            log.warning(
                "the database is unavailable; history is kept on disk meanwhile", reason=why
            )
            self.away = (self._clock.now(), why)
        else:
            self.away = (self.away[0], why)
        self._prepared = False
        self._connections.drop()
        self._retry_at = self._clock.monotonic() + self._backoff * random.uniform(0.8, 1.2)  # noqa: S311
        self._backoff = min(self._backoff * 2, RETRY[1])

    def _regain(self) -> None:
        """Note that the database is available."""
        self._backoff, self._retry_at = RETRY[0], 0.0
        self._ping_at = self._clock.monotonic() + PING_SECONDS
        if self.away is not None:
            log.info(
                "the database is available again",
                since=self.away[0].isoformat(),
                waiting=len(self._spool),
            )
            self.away = None

    @property
    def waiting(self) -> int:
        """Return the number of items collected and not yet taken as a batch."""
        return len(self._collector)

    @property
    def lost_old(self) -> int:
        """Return the number of rows not written because they are older than the retention."""
        return self._ingest.lost_old


def _name(item: object) -> str:
    return repr(getattr(item, "target", ""))[:80]
