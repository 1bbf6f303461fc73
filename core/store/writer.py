"""Writing history: batches by COPY, each exactly once, spooled while the database is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta

import asyncpg

from tocsin.core.clock import Clock
from tocsin.core.ids import new_id
from tocsin.core.logs import get_logger
from tocsin.core.model import AuditEntry, Event, Observation
from tocsin.core.store.batch import Batch, Collector
from tocsin.core.store.connection import (
    Connection,
    Connections,
    is_trouble,
    reason,
    transaction,
)
from tocsin.core.store.partitions import day_of, ensure
from tocsin.core.store.spool import Spool

log = get_logger(__name__)

BATCH_ROWS = 20_000
BATCH_SECONDS = 1.0
WRITE_DEADLINE = 10.0
"""Seconds for one batch."""

RETRY = (0.5, 10.0)
"""Seconds between tries to reach the database: the first, doubled up to the last."""

_RESULTS = ["check_id", "at", "status", "latency_seconds", "message", "metrics"]
_CONTAINERS = [
    "check_id",
    "container_name", "timestamp", "status", "health_status", "cpu_percent", "memory_bytes",
    "memory_percent", "network_rx_bytes", "network_tx_bytes", "restart_count", "uptime_seconds",
]  # fmt: skip
_EVENTS = ["id", "at", "target", "source", "action", "attributes"]
_AUDIT = ["id", "at", "actor", "role", "action", "subject", "outcome", "details"]


class Writer:
    """Takes items at any time, writes them when it can. ``prepare`` is run on each new connection
    (migrations); ``away`` says since when and why the database cannot be written, or is None."""

    def __init__(
        self,
        connections: Connections,
        spool: Spool,
        clock: Clock,
        retention: float,
        prepare: Callable[[Connection], Awaitable[object]],
    ) -> None:
        self._connections = connections
        self._spool = spool
        self._clock = clock
        self._retention = timedelta(seconds=retention)
        self._prepare = prepare
        self._collector = Collector()
        self._full = asyncio.Event()
        self._ids: dict[tuple[str, str], int] = {}
        self._days: set[date] = set()
        self._prepared = False
        self._retry_at = 0.0
        self._backoff = RETRY[0]
        self._busy = asyncio.Lock()
        self.away: tuple[datetime, str] | None = None
        self.written = 0
        self.lost_old = 0
        """Rows older than the retention, which were not written."""

    def add(self, item: Observation | Event | AuditEntry) -> None:
        """Take an item. Never blocks, never raises."""
        self._collector.add(item)
        if len(self._collector) >= BATCH_ROWS:
            self._full.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            try:
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._full.clear()
            await self.turn()

    async def turn(self, *, now: bool = False) -> None:
        """One round: what was gathered goes to the database, or to the spool while that is away.

        ``now``: try the database though its next try is not due yet.
        """
        async with self._busy:
            batch = self._collector.take()
            due = now or self._clock.monotonic() >= self._retry_at
            if self.away is None and not len(self._spool):
                if len(batch) and not await self._try(batch):
                    self._keep(batch)
                elif not self._prepared and due:
                    await self._try(batch)
                return
            if len(batch):
                self._keep(batch)
            if due:
                await self._replay()

    async def _replay(self) -> None:
        while (batch := self._spool.first()) is not None:
            if not await self._try(batch):
                return
            self._spool.done(batch.id)
        if self.away is not None:
            await self._try(Batch(new_id()))  # nothing to write, only to see whether it is back

    def _keep(self, batch: Batch) -> None:
        try:
            self._spool.put(batch)
        except OSError as error:
            log.error("history cannot be spooled and is lost", rows=len(batch), reason=str(error))

    async def _try(self, batch: Batch) -> bool:
        """Write one batch; True when it needs no more care (written, or set aside)."""
        try:
            async with self._connections.use(WRITE_DEADLINE) as connection:
                if not self._prepared:
                    self._ids.clear()
                    self._days.clear()
                    await self._prepare(connection)
                    self._prepared = True
                await self._write(connection, batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, history must not stop the rest
            if is_trouble(error) or not self._prepared:
                self._lose(reason(error))
                return False
            self._keep(batch)
            self._spool.reject(batch.id, reason(error))
        self._regain()
        return True

    def _lose(self, why: str) -> None:
        if self.away is None:
            log.warning("the database is away; history waits on disk", reason=why)
            self.away = (self._clock.now(), why)
        else:
            self.away = (self.away[0], why)
        self._prepared = False
        self._connections.drop()
        self._retry_at = self._clock.monotonic() + self._backoff * random.uniform(0.8, 1.2)  # noqa: S311
        self._backoff = min(self._backoff * 2, RETRY[1])

    def _regain(self) -> None:
        self._backoff, self._retry_at = RETRY[0], 0.0
        if self.away is not None:
            log.info(
                "the database is back", since=self.away[0].isoformat(), waiting=len(self._spool)
            )
            self.away = None

    async def _write(self, connection: Connection, batch: Batch) -> None:
        if not len(batch):
            await connection.fetchval("SELECT 1")
            return
        oldest = self._clock.now() - self._retention
        results = [row for row in batch.results if row.at > oldest]
        containers = [row for row in batch.containers if row.timestamp > oldest]
        events = [row for row in batch.events if row.at > oldest]
        self.lost_old += len(batch) - len(batch.audit)
        self.lost_old -= len(results) + len(containers) + len(events)
        await self._number(connection, {(row.target, row.name) for row in results})
        await self._partition(
            connection,
            {day_of(row.at) for row in results}
            | {day_of(row.timestamp) for row in containers}
            | {day_of(row.at) for row in events},
        )
        try:
            async with transaction(connection):
                await connection.execute(
                    "INSERT INTO ingest_batches (id, at) VALUES ($1, $2)",
                    batch.id,
                    self._clock.now(),
                )
                numbered = [
                    (self._ids[row.target, row.name], row.at, row.status,
                     row.latency, row.message, row.metrics)
                    for row in results
                ]  # fmt: skip
                await _copy(connection, "check_results", _RESULTS, numbered)
                await _copy(
                    connection,
                    "container_metrics",
                    _CONTAINERS,
                    [
                        (
                            self._ids[row.container_name, row.check],
                            *(getattr(row, name) for name in _CONTAINERS[1:]),
                        )
                        for row in containers
                    ],
                )
                await _copy(
                    connection,
                    "container_events",
                    _EVENTS,
                    [tuple(getattr(row, name) for name in _EVENTS) for row in events],
                )
                await _copy(
                    connection,
                    "audit",
                    _AUDIT,
                    [tuple(getattr(row, name) for name in _AUDIT) for row in batch.audit],
                )
                if results:
                    await _move_back(connection, min(row.at for row in results))
        except asyncpg.UniqueViolationError as error:
            if error.table_name != "ingest_batches":
                raise
            await connection.execute("ROLLBACK")  # written before: its COMMIT was not answered
        self.written += len(batch)

    async def _number(self, connection: Connection, names: set[tuple[str, str]]) -> None:
        new = sorted(names - self._ids.keys())
        if not new:
            return
        targets, checks = [t for t, _ in new], [n for _, n in new]
        await connection.execute(
            "INSERT INTO checks (target, name) SELECT * FROM unnest($1::text[], $2::text[]) "
            "ON CONFLICT DO NOTHING",
            targets,
            checks,
        )
        rows = await connection.fetch(
            "SELECT c.id, c.target, c.name FROM checks c "
            "JOIN unnest($1::text[], $2::text[]) AS w(t, n) ON c.target = w.t AND c.name = w.n",
            targets,
            checks,
        )
        self._ids.update({(row["target"], row["name"]): row["id"] for row in rows})

    async def _partition(self, connection: Connection, days: set[date]) -> None:
        if new := days - self._days:
            await ensure(connection, new)
            self._days |= new

    @property
    def waiting(self) -> int:
        """Items gathered and not yet formed into a batch."""
        return len(self._collector)


async def _copy(
    connection: Connection, table: str, columns: list[str], rows: Sequence[tuple[object, ...]]
) -> None:
    if rows:
        await connection.copy_records_to_table(table, columns=columns, records=rows)


async def _move_back(connection: Connection, oldest: datetime) -> None:
    """Late data: what is rolled up over it is to be rolled up again."""
    await connection.execute(
        "UPDATE rollup_state SET done_until = CASE resolution "
        "WHEN '1m' THEN date_trunc('minute', $1::timestamptz) "
        "WHEN '1h' THEN date_trunc('hour', $1::timestamptz) "
        "ELSE date_trunc('day', $1::timestamptz) END "
        "WHERE done_until > $1",
        oldest,
    )
