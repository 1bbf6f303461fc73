"""Maintenance of history: roll-ups every minute, partitions and retention every hour."""

from __future__ import annotations

from datetime import datetime, timedelta

from tocsin import PluginClock
from tocsin.plugins.history._log import log
from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.migrate import LOCK
from tocsin.plugins.history.partitions import AHEAD, day_of, drop_before, ensure
from tocsin.plugins.history.rollup import done_until, roll_up
from tocsin.plugins.history.trust import ClockTrust

BATCH_IDS_KEPT = timedelta(days=7)
"""How long ids of batches are kept. A batch that waited longer in the spool, and whose commit was
not confirmed, would be written twice.
"""


async def tidy(
    connection: Connection,
    clock: PluginClock,
    trust: ClockTrust,
    retention: timedelta,
    minutes: timedelta,
    *,
    full: bool,
) -> None:
    """Roll up, and with ``full`` also drop history that is older than its retention.

    Only one tocsin at a time does this on a database; the others skip their turn.

    Args:
        connection: a connection to the database.
        clock: clock for the current time.
        trust: decides whether the current time may be used to drop history.
        retention: how long raw results, container metrics and events are kept.
        minutes: how long roll-ups by minute are kept.
        full: whether to drop old history, too.
    """
    now = clock.now()
    trust.look(now, clock.monotonic())
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK + 1):
        return
    await ensure(connection, {day_of(now) + timedelta(days=n) for n in range(AHEAD + 1)})
    await roll_up(connection, now)
    if full and (sure := await trust.believed(connection, now, clock.monotonic())) is not None:
        await _retain(connection, sure, retention, minutes)
    # Not in a finally clause: after an error the connection is closed, which releases the lock.
    # Asking a frozen server to unlock would wait for ever.
    await connection.execute("SELECT pg_advisory_unlock($1)", LOCK + 1)


async def _retain(
    connection: Connection, now: datetime, retention: timedelta, minutes: timedelta
) -> None:
    done = await done_until(connection)
    kept = {
        # table: its retention, and up to when the next coarser resolution is complete
        "check_results": (retention, done.get("1m", now)),
        "container_metrics": (retention, done.get("1m", now)),
        "container_events": (retention, now),
        "check_rollup_1m": (minutes, done.get("1h", now)),
    }
    for table, (age, rolled_up) in kept.items():
        limit = now - age
        days = (day_of(now) - day_of(limit)).days + 1
        dropped, left = await drop_before(connection, table, min(limit, rolled_up), days)
        for name in dropped:
            log.info("history older than its retention was dropped", partition=name)
        if left:
            log.warning(
                "old history is dropped only one day at a time: tocsin was off for long, or the "
                "clock is wrong",
                table=table, days=left,
            )  # fmt: skip
    await connection.execute("DELETE FROM ingest_batches WHERE at < $1", now - BATCH_IDS_KEPT)
