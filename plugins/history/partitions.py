"""Partitions by day and by month: created ahead of time, dropped after the retention."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from tocsin.plugins.history.connection import Connection, transaction

LOCK = 0x746F63736970  # key of the advisory lock for creating partitions

DAILY = ("check_results", "container_metrics", "check_rollup_1m", "container_events")
MONTHLY = ("check_rollup_1h", "check_rollup_1d")
AHEAD = 2
"""Days for which partitions are created ahead of time."""


def day_of(at: datetime) -> date:
    """Return the day of a time in UTC."""
    return at.astimezone(UTC).date()


def bounds(table: str, day: date) -> tuple[str, date, date]:
    """Return the partition that holds ``day``: its name, first day, and the day after its last."""
    if table in MONTHLY:
        first = day.replace(day=1)
        return f"{table}_{first:%Y%m}", first, (first + timedelta(days=32)).replace(day=1)
    return f"{table}_{day:%Y%m%d}", day, day + timedelta(days=1)


async def ensure(connection: Connection, days: Collection[date]) -> None:
    """Create the partitions that hold these days, if they are missing."""
    wanted = {(*bounds(table, day), table) for table in DAILY + MONTHLY for day in days}
    missing = await _missing(connection, wanted)
    if not missing:
        return
    async with transaction(connection):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        for name, first, after, table in await _missing(connection, missing):
            # Names and dates are computed above, not taken from input. CREATE … PARTITION OF would
            # wait for every query that reads the table, and block all that come after.
            await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)")
            await connection.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {name} "
                f"FOR VALUES FROM ('{first}T00:00:00Z') TO ('{after}T00:00:00Z')"
            )


_Wanted = tuple[str, date, date, str]


async def _missing(connection: Connection, wanted: Collection[_Wanted]) -> list[_Wanted]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE nspname = 'tocsin' AND relname = ANY($1)",
        [name for name, *_ in wanted],
    )
    there = {row["relname"] for row in rows}
    return sorted(row for row in wanted if row[0] not in there)


async def existing(connection: Connection, table: str) -> list[tuple[str, date]]:
    """Return the partitions of a table: name and first day, oldest first."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace n ON n.oid = p.relnamespace "
        "WHERE n.nspname = 'tocsin' AND p.relname = $1",
        table,
    )
    found = []
    for row in rows:
        text = row["relname"].rpartition("_")[2]
        text = text if len(text) == 8 else text + "01"
        found.append((row["relname"], date(int(text[:4]), int(text[4:6]), int(text[6:]))))
    return sorted(found, key=lambda item: item[1])


async def _holding(connection: Connection, there: Collection[tuple[str, date]]) -> set[str]:
    """Return which of these partitions hold any rows."""
    rows = await connection.fetch(
        "SELECT n FROM unnest($1::text[]) AS n WHERE pg_relation_size(n::regclass) > 0",
        [name for name, _ in there],
    )
    return {row["n"] for row in rows}


async def newest_day_before(connection: Connection, day: date) -> date | None:
    """Return the last day before ``day`` that has raw history; None if there is none."""
    there = [
        each
        for table in ("check_results", "container_metrics", "container_events")
        for each in await existing(connection, table)
        if each[1] < day
    ]
    holding = await _holding(connection, there)
    return max((first for name, first in there if name in holding), default=None)


async def drop_before(
    connection: Connection, table: str, limit: datetime, days: int
) -> tuple[list[str], int]:
    """Drop the partitions of a table that lie entirely before ``limit``.

    ``limit`` depends on a clock, which may be wrong. Of the newest ``days`` days that hold
    anything, only one is therefore dropped at a time. With a correct clock they are not past the
    limit, unless there were days without history.

    Args:
        connection: a connection to the database.
        table: name of the partitioned table.
        limit: end of the history to drop.
        days: number of days that the retention covers.

    Returns:
        The names of the dropped partitions, and how many are left for later calls.
    """
    there = await existing(connection, table)
    holding = await _holding(connection, there)
    newest = set([name for name, _ in there if name in holding][-days:])
    past = [name for name, first in there if bounds(table, first)[2] <= day_of(limit)]
    dropped = [name for name in past if name not in newest]
    if not holding.intersection(dropped):
        dropped += [name for name in past if name in newest][:1]
    for name in dropped:
        # A long wait for this lock would block every query that comes after it.
        await connection.execute("SET lock_timeout = '2s'")
        await connection.execute(f"DROP TABLE {name}")
        await connection.execute("RESET lock_timeout")
    return dropped, len(past) - len(dropped)
