"""A month of history as tocsin writes it, made inside the database.

Half the targets are containers (a row of check_results and one of container_metrics for each
sample), half are checked over HTTP (a row with six metrics). Rows come in the order of time, into
partitions that have all their indexes, as in real life. What is not real: the server makes up the
values; what secures it against a crash is off while it loads; and only the last whole day and the
day that has begun are made and rolled up by tocsin itself, the days before are copies of the
former, roll-ups included, moved back by whole days. Where the disk is small, days before the last
``raw_days`` have only the roll-ups of an hour and of a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import asyncpg
from attrs import frozen

from tocsin.plugins.history.partitions import ensure
from tocsin.plugins.history.rollup import LAG, roll_up

DAY = timedelta(days=1)
_SETTINGS = {"search_path": "tocsin", "timezone": "UTC", "jit": "off", "work_mem": "64MB",
             "plan_cache_mode": "force_custom_plan"}  # fmt: skip
_HASTE = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "'8GB'",
          "checkpoint_timeout": "'30min'"}  # fmt: skip

_CHECKS = """
INSERT INTO checks (target, name)
SELECT CASE WHEN n % 2 = 0 THEN 'container-' ELSE 'site-' END || to_char(n, 'FM0000'),
       CASE WHEN n % 2 = 0 THEN 'docker' ELSE 'http' END
FROM generate_series(1, $1::int) AS n
"""
# Each target has its moment within the 30 seconds, and is down for 20 minutes now and then.
_SAMPLES = """
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 microsecond', '30 s') AS t,
     LATERAL (SELECT c.id, c.target, c.name, t + c.id * interval '30 s' / {targets} AS at,
                     ((extract(epoch FROM t)::bigint / 1200 + c.id * 37) % 700 = 0) AS down
              FROM checks AS c ORDER BY c.id) AS s
"""
_RESULTS = (
    """
INSERT INTO check_results (check_id, at, status, latency_seconds, message, metrics)
SELECT id, at, CASE WHEN down THEN 2 ELSE 0 END,
       CASE WHEN name = 'http' THEN 0.004 + random() * 0.04 END,
       CASE WHEN name = 'docker' THEN CASE WHEN down THEN 'crashed with exit code 1' ELSE 'running'
            END WHEN down THEN 'status 503 Service Unavailable, expected 200-299' ELSE '200 OK' END,
       CASE WHEN name = 'http' THEN jsonb_build_object(
           'dns_seconds', random() * 0.001, 'connect_seconds', random() * 0.002,
           'first_byte_seconds', random() * 0.03, 'total_seconds', 0.004 + random() * 0.04,
           'http_status_code', CASE WHEN down THEN 503.0 ELSE 200.0 END,
           'body_bytes', 1000.0 + id) END
"""
    + _SAMPLES
)
_CONTAINERS = (
    """
INSERT INTO container_metrics (check_id, container_name, timestamp, status, health_status,
    cpu_percent, memory_bytes, memory_percent, network_rx_bytes, network_tx_bytes, restart_count,
    uptime_seconds)
SELECT id, target, at, CASE WHEN down THEN 'stopped' ELSE 'running' END, 'healthy',
       id % 90 + 10 * random(), 50000000 + id * 100000 + (random() * 4000000)::bigint,
       5 + id % 50 + random(), (extract(epoch FROM at) * (1000 + id))::bigint,
       (extract(epoch FROM at) * (300 + id))::bigint, id % 3,
       extract(epoch FROM at)::bigint % 864000
"""
    + _SAMPLES
    + " WHERE name = 'docker'"
)
_ALERTS = """
INSERT INTO system_alerts (id, alert_type, severity, container_name, message, details, created_at,
    resolved_at, notification_sent, flaps, revision)
SELECT gen_random_uuid(), (ARRAY['container_down', 'high_cpu', 'health_check_failed'])[1 + n % 3],
       (ARRAY['critical', 'warning', 'warning'])[1 + n % 3], 'container-' || to_char(n, 'FM0000'),
       'down for 1 minute', '{"flaps": 0, "downtime_seconds": 1200.0}', at, at + interval '20 min',
       true, 0, 3
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 microsecond', '15 min') AS at,
     generate_series(1, 3) AS n
"""
_COPY = """
INSERT INTO {table} ({time}, {others}) SELECT {time} - $3::interval, {others} FROM {table}
WHERE {time} >= $1 AND {time} < $2
"""
COPIED = {
    "check_results": ("at", "check_id, status, latency_seconds, message, metrics"),
    "container_metrics": (
        "timestamp",
        "check_id, container_name, status, health_status, cpu_percent, memory_bytes, "
        "memory_percent, network_rx_bytes, network_tx_bytes, restart_count, uptime_seconds",
    ),
    **{
        f"check_rollup_{name}": ("at", "check_id, up, degraded, down, unknown, metric_set, stats")
        for name in ("1m", "1h", "1d")
    },
}
ROLLED = {table: COPIED[table] for table in ("check_rollup_1h", "check_rollup_1d")}


@frozen(kw_only=True)
class Month:
    """What lies in the database: its last moment, its size, and what it took to make."""

    until: datetime
    targets: int
    days: int
    raw_days: int
    """Days whose raw results and minutes are there."""
    samples: int
    rows: int
    """Raw rows: a sample of a container has two."""
    day_seconds: float
    """Seconds tocsin took to roll up a whole day."""


async def open_database(dsn: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection set up as tocsin's own."""
    return await asyncpg.connect(dsn, server_settings=_SETTINGS)


async def found(dsn: str) -> Month | None:
    """The month that was loaded earlier, if it is whole."""
    connection = await open_database(dsn)
    try:
        if not await connection.fetchval("SELECT to_regclass('bench_month')::text"):
            return None
        row = await connection.fetchrow("SELECT * FROM bench_month")
        return None if row is None else Month(**dict(row))
    finally:
        await connection.close()


async def load(
    dsn: str, targets: int, days: int, raw_days: int, say: Callable[[str], None]
) -> Month:
    """Fill an empty database that has the schema."""
    connection = await open_database(dsn)
    await _settings(connection, {name: f"= {value}" for name, value in _HASTE.items()})
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("SET synchronize_seqscans = off")  # copies keep the order of time
    await connection.execute(_CHECKS, targets)
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    today, first = until.replace(hour=0, minute=0), until - days * DAY
    samples = rows = 0
    took = 0.0
    for begin, end in ((today - DAY, today), (today, until)):
        started = time.monotonic()
        await ensure(connection, {begin.date(), end.date()})
        made = await _count(connection, _RESULTS.format(targets=targets), begin, end)
        samples, rows = samples + made, rows + made
        rows += await _count(connection, _CONTAINERS.format(targets=targets), begin, end)
        middle = time.monotonic()
        await roll_up(connection, end + LAG)
        took = time.monotonic() - middle if end == today else took
        say(f"{begin:%m-%d}: {samples:,} samples by now, made in {middle - started:.0f} s, "
            f"rolled up in {time.monotonic() - middle:.0f} s")  # fmt: skip
    for back in range(1, days + 1):
        started = time.monotonic()
        begin = max(today - DAY, first + back * DAY)
        if begin < today:
            tables = COPIED if back < raw_days else ROLLED
            made, more = await copy(connection, begin, today, back * DAY, tables)
            samples, rows = samples + made, rows + more
            say(f"{begin - back * DAY:%m-%d}: {samples:,} samples by now, copied in "
                f"{time.monotonic() - started:.0f} s")  # fmt: skip
    month = Month(
        until=until, targets=targets, days=days, raw_days=min(days, raw_days), samples=samples,
        rows=rows, day_seconds=took,
    )  # fmt: skip
    await finish(connection, month)
    await connection.close()
    return month


async def copy(
    connection: asyncpg.Connection[asyncpg.Record],
    begin: datetime,
    end: datetime,
    back: timedelta,
    tables: Mapping[str, tuple[str, str]],
) -> tuple[int, int]:
    """Copy what lies between two moments to an earlier time; returns how many samples and how many
    raw rows that were."""
    await ensure(connection, {(begin - back).date()})
    made = {
        table: await _count(
            connection, _COPY.format(table=table, time=column, others=others), begin, end, back
        )
        for table, (column, others) in tables.items()
    }
    samples = made.get("check_results", 0)
    return samples, samples + made.get("container_metrics", 0)


async def finish(connection: asyncpg.Connection[asyncpg.Record], month: Month) -> None:
    """Alerts, the state that a month's work of autovacuum leaves behind, and what was made."""
    await connection.execute(_ALERTS, month.until - month.days * DAY, month.until)
    await _settings(connection, dict.fromkeys(_HASTE, "TO DEFAULT"))
    for table in ("check_results", "container_metrics", "check_rollup_1m", "check_rollup_1h"):
        await connection.execute(
            "SELECT brin_summarize_new_values(indexrelid) FROM pg_index i JOIN pg_class c "
            "ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam JOIN pg_inherits h "
            "ON h.inhrelid = i.indrelid WHERE a.amname = 'brin' AND c.relkind = 'i' "
            "AND h.inhparent = $1::text::regclass", table,
        )  # fmt: skip
        await connection.execute(f"ANALYZE {table}")
    await connection.execute(
        "CREATE TABLE bench_month AS SELECT $1::timestamptz AS until, $2::int AS targets, "
        "$3::int AS days, $4::int AS raw_days, $5::bigint AS samples, $6::bigint AS rows, "
        "$7::float8 AS day_seconds",
        month.until, month.targets, month.days, month.raw_days, month.samples, month.rows,
        month.day_seconds,
    )  # fmt: skip
    await connection.execute("CHECKPOINT")


async def _count(
    connection: asyncpg.Connection[asyncpg.Record], statement: str, *arguments: object
) -> int:
    """Run an INSERT; returns how many rows it made."""
    done: str = await connection.execute(statement, *arguments)
    return int(done.split()[-1])


async def _settings(
    connection: asyncpg.Connection[asyncpg.Record], settings: dict[str, str]
) -> None:
    for name, text in settings.items():
        await connection.execute(f"ALTER SYSTEM SET {name} {text}")
    await connection.execute("SELECT pg_reload_conf()")
