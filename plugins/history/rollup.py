"""Roll-ups: minutes from raw results, hours from minutes, days from hours.

Rolling up is idempotent: a time range can be rolled up any number of times. ``rollup_state``
records how far each resolution is complete. A batch of late data adds a row to ``rollup_late`` in
its own transaction; the next round removes these rows and starts that much earlier. (If the batch
moved ``rollup_state`` back itself, a round that has read its range but not finished would overwrite
that.)
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from tocsin.plugins.history.batch import KEPT_METRICS
from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.partitions import existing

STEPS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
_WINDOW = {"1m": timedelta(minutes=15), "1h": timedelta(hours=2), "1d": timedelta(days=2)}
"""Time range of the first statement; it is doubled while statements are quick."""

_WIDEST = 64
"""Largest time range of a statement, as a multiple of the first."""

_QUICK = 0.5
"""Seconds below which a statement is quick. With thousands of checks, none may run for long or need
much memory.
"""

LAG = timedelta(seconds=15)
"""How long after its end a minute stays open for results on their way."""

# Common to both statements: new sets of metrics, and the rows. The caller holds housekeeping's
# lock, so that no other process adds the same set at the same time.
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
    """Mark data as late if their time is already rolled up: the clock was ahead then."""
    await connection.execute(
        "INSERT INTO rollup_late (at) SELECT $1 "
        "WHERE $1 < (SELECT done_until FROM rollup_state WHERE resolution = '1m')",
        oldest,
    )


async def done_until(connection: Connection) -> dict[str, datetime]:
    """Return up to when each resolution is complete; one that has not begun is left out."""
    rows = await connection.fetch(
        f"SELECT resolution, {_EARLIER} AS done_until "
        "FROM rollup_state, (SELECT min(at) AS at FROM rollup_late) AS late"
    )
    return {row["resolution"]: row["done_until"] for row in rows}


async def roll_up(connection: Connection, now: datetime) -> None:
    """Bring all resolutions up to ``now``, one time range after the other."""
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
    # The clock was ahead. Results since it was corrected are marked in the same way as late data.
    await connection.executemany(
        "UPDATE rollup_state SET done_until = $2 WHERE resolution = $1 AND done_until > $3",
        [(resolution, floor(limit, step), now) for resolution, step in STEPS.items()],
    )
    for resolution in STEPS:
        limit = await _advance(connection, resolution, limit)


async def _advance(connection: Connection, resolution: str, limit: datetime) -> datetime:
    """Roll up one resolution until ``limit``, rounded down to a whole step.

    Returns:
        The time up to which the resolution is complete.
    """
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
    """Return the start of a time's step; steps count from the epoch, as in ``date_bin``."""
    seconds = int(at.timestamp()) // int(step.total_seconds()) * int(step.total_seconds())
    return datetime.fromtimestamp(seconds, at.tzinfo)
