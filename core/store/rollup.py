"""Roll-ups: a minute out of raw samples, an hour out of minutes, a day out of hours.

Idempotent: a window can be rolled up any number of times. How far each resolution has come stands
in ``rollup_state``. A batch of late data leaves a row in ``rollup_late``, in its own transaction;
the next round takes those rows away and begins that much earlier. (Moving ``rollup_state`` back
at once would lose against a round that has read its window and not yet said so.)
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from tocsin.core.store.batch import KEPT_METRICS
from tocsin.core.store.connection import Connection
from tocsin.core.store.partitions import existing

STEPS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
_WINDOW = {"1m": timedelta(minutes=15), "1h": timedelta(hours=2), "1d": timedelta(days=2)}
"""How much a statement rolls up at first; while they are quick, the next does twice as much."""

_WIDEST = 64
"""The most that one rolls up, in such windows."""

_QUICK = 0.5
"""Seconds. None is to run for long, or to need much memory, where there are thousands of checks."""

LAG = timedelta(seconds=15)
"""How long a minute is left open for samples on their way."""

# What both have in common: new sets of metrics, and the rows. Whoever rolls up holds the
# lock of housekeeping, so that nobody adds the same set meanwhile.
_ROWS = """
), folded AS (
    SELECT check_id, bin, array_agg(key ORDER BY key) AS names,
           array_agg(ARRAY[n, low, mean, high] ORDER BY key) AS stats
    FROM ranges GROUP BY 1, 2
), fresh AS (
    INSERT INTO metric_sets (names)
    SELECT names FROM folded EXCEPT SELECT names FROM metric_sets RETURNING id, names
), sets AS (
    SELECT id, names FROM metric_sets UNION ALL SELECT id, names FROM fresh
)
INSERT INTO {table} (check_id, at, up, degraded, down, unknown, metric_set, stats)
SELECT c.check_id, c.bin, c.up, c.degraded, c.down, c.unknown, s.id, f.stats
FROM counted AS c LEFT JOIN folded AS f USING (check_id, bin) LEFT JOIN sets AS s USING (names)
ORDER BY 1, 2
ON CONFLICT (check_id, at) DO UPDATE SET up = excluded.up, degraded = excluded.degraded,
    down = excluded.down, unknown = excluded.unknown, metric_set = excluded.metric_set,
    stats = excluded.stats
"""

_KEPT = ", ".join(f"('{name}', {name}::float8)" for name in KEPT_METRICS)

_MINUTES = (
    """
WITH samples AS (
    SELECT check_id, date_bin('1 minute', at, 'epoch') AS bin, status, latency_seconds, metrics
    FROM check_results WHERE at >= $1 AND at < $2
), counted AS (
    SELECT check_id, bin, count(*) FILTER (WHERE status = 0) AS up,
           count(*) FILTER (WHERE status = 1) AS degraded,
           count(*) FILTER (WHERE status = 2) AS down,
           count(*) FILTER (WHERE status = 3) AS unknown
    FROM samples GROUP BY 1, 2
), numbers AS (
    SELECT check_id, bin, 'latency_seconds' AS key, latency_seconds::float8 AS value
    FROM samples WHERE latency_seconds IS NOT NULL
    UNION ALL
    SELECT check_id, bin, e.key, e.value::float8
    FROM samples, jsonb_each_text(metrics) AS e WHERE metrics IS NOT NULL
    UNION ALL
    SELECT check_id, date_bin('1 minute', timestamp, 'epoch'), v.key, v.value
    FROM container_metrics, LATERAL (VALUES """
    + _KEPT
    + """) AS v (key, value)
    WHERE timestamp >= $1 AND timestamp < $2 AND v.value IS NOT NULL
), ranges AS (
    SELECT check_id, bin, key, count(*)::float8 AS n, min(value) AS low, avg(value) AS mean,
           max(value) AS high
    FROM numbers GROUP BY 1, 2, 3
"""
    + _ROWS.format(table="check_rollup_1m")
)

_COARSER = (
    """
WITH finer AS (
    SELECT check_id, date_bin($3::interval, at, 'epoch') AS bin,
           up, degraded, down, unknown, metric_set, stats
    FROM {finer} WHERE at >= $1 AND at < $2
), counted AS (
    SELECT check_id, bin, sum(up) AS up, sum(degraded) AS degraded, sum(down) AS down,
           sum(unknown) AS unknown
    FROM finer GROUP BY 1, 2
), ranges AS (
    SELECT check_id, bin, m.key, sum(stats[m.n][1]) AS n, min(stats[m.n][2]) AS low,
           sum(stats[m.n][1] * stats[m.n][3]) / sum(stats[m.n][1]) AS mean,
           max(stats[m.n][4]) AS high
    FROM finer JOIN metric_sets AS s ON s.id = finer.metric_set,
         unnest(s.names) WITH ORDINALITY AS m (key, n)
    GROUP BY 1, 2, 3
"""
    + _ROWS
)


_EARLIER = """LEAST(done_until, CASE resolution WHEN '1m' THEN date_trunc('minute', late.at)
    WHEN '1h' THEN date_trunc('hour', late.at) ELSE date_trunc('day', late.at) END)"""


async def mark_late(connection: Connection, oldest: datetime) -> None:
    """Have everything from ``oldest`` on rolled up again."""
    await connection.execute("INSERT INTO rollup_late (at) VALUES ($1)", oldest)


async def mark_if_rolled_up(connection: Connection, oldest: datetime) -> None:
    """The same, where roll-ups have come past ``oldest``: the clock had been ahead."""
    await connection.execute(
        "INSERT INTO rollup_late (at) SELECT $1 "
        "WHERE $1 < (SELECT done_until FROM rollup_state WHERE resolution = '1m')",
        oldest,
    )


async def done_until(connection: Connection) -> dict[str, datetime]:
    """Up to where each resolution is complete; one that has not begun is not in it."""
    rows = await connection.fetch(
        f"SELECT resolution, {_EARLIER} AS done_until "
        "FROM rollup_state, (SELECT min(at) AS at FROM rollup_late) AS late"
    )
    return {row["resolution"]: row["done_until"] for row in rows}


async def roll_up(connection: Connection, now: datetime) -> None:
    """Bring all resolutions up to ``now``, window by window."""
    if not await connection.fetchval("SELECT 1 FROM rollup_state LIMIT 1"):
        partitions = await existing(connection, "check_results")
        if not partitions:
            return
        first = partitions[0][1]
        begin = datetime(first.year, first.month, first.day, tzinfo=now.tzinfo)
        await connection.executemany(
            "INSERT INTO rollup_state VALUES ($1, $2) ON CONFLICT DO NOTHING",
            [(resolution, begin) for resolution in STEPS],
        )
    await connection.execute(
        "WITH gone AS (DELETE FROM rollup_late RETURNING at), "
        "late AS (SELECT min(at) AS at FROM gone) "
        f"UPDATE rollup_state SET done_until = {_EARLIER} FROM late WHERE late.at IS NOT NULL"
    )
    limit = now - LAG
    # The clock was ahead. What was seen since it is right again is marked as late data is.
    await connection.executemany(
        "UPDATE rollup_state SET done_until = $2 WHERE resolution = $1 AND done_until > $3",
        [(resolution, floor(limit, step), now) for resolution, step in STEPS.items()],
    )
    for resolution in STEPS:
        limit = await _advance(connection, resolution, limit)


async def _advance(connection: Connection, resolution: str, limit: datetime) -> datetime:
    """Roll one resolution up to ``limit``, cut to a whole step; returns how far it came."""
    step = STEPS[resolution]
    limit = floor(limit, step)
    window, widest = _WINDOW[resolution], _WINDOW[resolution] * _WIDEST
    while True:
        begun = time.monotonic()
        done: datetime = await connection.fetchval(
            "SELECT done_until FROM rollup_state WHERE resolution = $1", resolution
        )
        if done >= limit:
            return done
        until = min(done + window, limit)
        if resolution == "1m":
            await connection.execute(_MINUTES, done, until)
        else:
            table = f"check_rollup_{resolution}"
            finer = "check_rollup_1m" if resolution == "1h" else "check_rollup_1h"
            await connection.execute(_COARSER.format(table=table, finer=finer), done, until, step)
        await connection.execute(
            "UPDATE rollup_state SET done_until = $1 WHERE resolution = $2", until, resolution
        )
        quick = time.monotonic() - begun < _QUICK
        window = min(2 * window, widest) if quick else max(window / 2, _WINDOW[resolution])


def floor(at: datetime, step: timedelta) -> datetime:
    """The start of the step that holds a moment; steps count from the epoch (``date_bin``)."""
    seconds = int(at.timestamp()) // int(step.total_seconds()) * int(step.total_seconds())
    return datetime.fromtimestamp(seconds, at.tzinfo)
