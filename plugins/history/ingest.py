"""Writing one batch into the tables: by COPY, in one transaction, exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import asyncpg
import msgspec

from tocsin import PluginClock
from tocsin.plugins.history.batch import Batch, ContainerRow
from tocsin.plugins.history.connection import Connection, transaction
from tocsin.plugins.history.partitions import day_of, ensure, existing
from tocsin.plugins.history.rollup import LAG, mark_if_rolled_up, mark_late

WRITE_DEADLINE = 10.0
"""Seconds for one batch."""

ON_TIME = LAG - timedelta(seconds=WRITE_DEADLINE)
"""A batch whose data are younger than this when its transaction begins is committed before their
minute is rolled up.
"""

_RESULTS = ["check_id", "at", "status", "latency_seconds", "message", "metrics"]
_CONTAINERS = ["check_id", *(n for n in ContainerRow.__struct_fields__ if n != "check")]
_EVENTS = ["id", "at", "target", "source", "action", "attributes"]
_ALERTS = [
    "id", "alert_type", "severity", "container_name", "message", "details", "created_at",
    "acknowledged_at", "acknowledged_by", "resolved_at", "notification_sent", "flaps", "revision",
    "state",
]  # fmt: skip
_LEDGER = [
    "id", "alert_id", "channel", "transition", "decision", "reason", "attempts", "created_at",
    "delivered_at", "message_id", "answer", "revision", "state",
]  # fmt: skip
_SILENCES = ["id", "matchers", "starts_at", "ends_at", "created_by", "comment", "maintenance"]
_AUDIT = ["id", "at", "actor", "role", "action", "subject", "outcome", "details"]


class Ingest:
    """Writes batches, and caches the numbers of checks and the days that have partitions.

    Args:
        clock: clock for the current time.
        retention: rows older than this are not written.
    """

    def __init__(self, clock: PluginClock, retention: timedelta) -> None:
        self._clock = clock
        self._retention = retention
        self._ids: dict[tuple[str, str], int] = {}
        self._days: set[date] = set()
        self.lost_old = 0
        """Rows that were not written because they are older than the retention."""

    def forget(self) -> None:
        """Clear the caches: the database may be a different one after a reconnect."""
        self._ids.clear()
        self._days.clear()

    async def write(self, connection: Connection, batch: Batch) -> int:
        """Write a batch, unless it was written before.

        On an error (of asyncpg) the transaction is still open, and the connection has to be closed.

        Returns:
            The number of rows of the batch within the retention.
        """
        kept = await self._without_old(connection, batch)
        times = [row.at for row in kept.results] + [row.timestamp for row in kept.containers]
        await self._number(
            connection,
            {(row.target, row.name) for row in kept.results}
            | {(row.container_name, row.check) for row in kept.containers},
        )
        await self._partition(connection, _days(times) | _days([row.at for row in kept.events]))
        try:
            async with transaction(connection):
                await connection.execute(
                    "INSERT INTO ingest_batches (id, at) VALUES ($1, $2)",
                    batch.id,
                    self._clock.now(),
                )
                await self._copy_all(connection, kept)
                for table, columns, rows in (
                    ("system_alerts", _ALERTS, kept.alerts),
                    ("notifications", _LEDGER, kept.ledger),
                    ("silences", _SILENCES, kept.silences),
                ):
                    await _upsert(connection, table, columns, rows)
                if times and min(times) < self._clock.now() - ON_TIME:
                    await mark_late(connection, min(times))
                elif times:
                    await mark_if_rolled_up(connection, min(times))
        except asyncpg.UniqueViolationError as error:
            if error.table_name != "ingest_batches":
                raise
            # The batch was written before, but its COMMIT was not confirmed. How late it came is
            # unknown.
            await connection.execute("ROLLBACK")
            if times:
                await mark_late(connection, min(times))
        else:
            self.lost_old += len(batch) - len(kept)
        return len(kept)

    async def _without_old(self, connection: Connection, batch: Batch) -> Batch:
        """Return a batch without the rows that are past the retention.

        The partition of their day is dropped, too. By the clock alone, a whole spool would be too
        old while the clock is wrong.
        """
        oldest = self._clock.now() - self._retention
        times = [
            *(row.at for row in batch.results),
            *(row.timestamp for row in batch.containers),
            *(row.at for row in batch.events),
        ]
        if not times or min(times) > oldest:
            return batch
        there = await existing(connection, "check_results")
        if there:
            oldest = min(oldest, datetime.combine(there[0][1], time.min, UTC))
        return msgspec.structs.replace(
            batch,
            results=[row for row in batch.results if row.at > oldest],
            containers=[row for row in batch.containers if row.timestamp > oldest],
            events=[row for row in batch.events if row.at > oldest],
        )

    async def _copy_all(self, connection: Connection, batch: Batch) -> None:
        await _copy(
            connection,
            "check_results",
            _RESULTS,
            [
                (self._ids[row.target, row.name], row.at, row.status,
                 row.latency, row.message, row.metrics)
                for row in batch.results
            ],
        )  # fmt: skip
        await _copy(
            connection,
            "container_metrics",
            _CONTAINERS,
            [
                (
                    self._ids[row.container_name, row.check],
                    *(getattr(row, name) for name in _CONTAINERS[1:]),
                )
                for row in batch.containers
            ],
        )
        await _copy(
            connection,
            "container_events",
            _EVENTS,
            [tuple(getattr(row, name) for name in _EVENTS) for row in batch.events],
        )
        await _copy(
            connection,
            "audit",
            _AUDIT,
            [tuple(getattr(row, name) for name in _AUDIT) for row in batch.audit],
        )

    async def _number(self, connection: Connection, names: set[tuple[str, str]]) -> None:
        """Look up the numbers of new checks, adding those that are not in the table."""
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
        """Create the partitions of new days."""
        if new := days - self._days:
            await ensure(connection, new)
            self._days |= new


def _days(times: Sequence[datetime]) -> set[date]:
    """Return the days of these times, fast for times that are mostly of one day."""
    if not times:
        return set()
    first, last = day_of(min(times)), day_of(max(times))
    return {first} if first == last else {day_of(at) for at in times}


async def _copy(
    connection: Connection, table: str, columns: list[str], rows: Sequence[tuple[object, ...]]
) -> None:
    if rows:
        await connection.copy_records_to_table(table, columns=columns, records=rows)


async def _upsert(
    connection: Connection, table: str, columns: list[str], rows: Sequence[Any]
) -> None:
    """Write rows that change over time.

    A later revision replaces an earlier one, never the reverse, so rows may be written twice or out
    of order.
    """
    if not rows:
        return
    news = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "id")
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    newer = f" WHERE {table}.revision <= excluded.revision" if "revision" in columns else ""
    await connection.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) "
        f"ON CONFLICT (id) DO UPDATE SET {news}{newer}",
        [tuple(getattr(row, name) for name in columns) for row in rows],
    )
