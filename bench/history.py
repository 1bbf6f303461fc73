"""A month of history at 1,000 targets: charts, roll-ups, retention, size on disk, plans.

    python bench/history.py [--quick] [--targets 1000] [--days 30] [--raw-days N]
        [--keep DIR]

Loads the month into an embedded PostgreSQL (see month.py; about 45 GB and an hour on two cores) or,
with ``--keep``, takes the one that lies in DIR since an earlier run. Measures through the store's
public functions and, over HTTP, through a real tocsin on that database.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import aiohttp
import asyncpg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import month as months  # noqa: E402
from month import DAY, Month  # noqa: E402
from table import line, machine  # noqa: E402
from tests.running import Running  # noqa: E402
from tests.store.plans import Plans  # noqa: E402

from tocsin.core.clock import SystemClock  # noqa: E402
from tocsin.plugins.history.embedded import EmbeddedPostgres  # noqa: E402
from tocsin.plugins.history.housekeeping import tidy  # noqa: E402
from tocsin.plugins.history.migrate import migrate  # noqa: E402
from tocsin.plugins.history.partitions import DAILY  # noqa: E402
from tocsin.plugins.history.rollup import LAG, mark_late, roll_up  # noqa: E402
from tocsin.plugins.history.store import Store  # noqa: E402
from tocsin.plugins.history.trust import ClockTrust  # noqa: E402
from tocsin.testing import SettableClock  # noqa: E402

SPANS = {"24 h": 24, "7 d": 168, "30 d": 720}
ROUNDS = 20
CHART_BOUND, RETENTION_BOUND = 0.05, 1.0
Ask = Callable[[str, float], Awaitable[object]]
"""Ask for something about a target over some hours."""


class Then(SystemClock):
    """The moment at which the month ends."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """That moment."""
        return self._at


async def timed(ask: Ask, targets: list[str], hours: float) -> list[float]:
    """Seconds for each target, sorted; each is asked for once, so nothing of it lies ready."""
    times = []
    for target in targets:
        begun = time.perf_counter()
        await ask(target, hours)
        times.append(time.perf_counter() - begun)
    return sorted(times)


def told(times: list[float]) -> str:
    """Median and longest in milliseconds."""
    return f"median {statistics.median(times) * 1000:.0f} ms, longest {max(times) * 1000:.0f} ms"


async def through_the_store(month: Month, store: Store, checks: list[tuple[str, str]]) -> None:
    """Charts, uptime and trends by the store's functions, and what their plans read."""
    names = dict(checks)

    def since(hours: float) -> datetime:
        return month.until - timedelta(hours=hours)

    async def chart(target: str, hours: float) -> object:
        return await store.chart(target, names[target], since(hours), month.until, 300)

    async def uptime(_: str, hours: float) -> object:
        return await store.uptimes(checks, since(hours), month.until, 48)

    async def trends(_: str, hours: float) -> object:
        return await store.trends(
            checks, "cpu_percent", since(hours), month.until, top=8, points=100
        )

    asked: dict[str, Ask] = {"chart": chart, "uptime of all": uptime, "trends": trends}
    for what, ask in asked.items():
        for place, (span, hours) in enumerate(SPANS.items()):
            some = [target for target, _ in checks[place * ROUNDS + 1 :: 41]][:ROUNDS]
            print(f"store, {what}, {span}: {told(await timed(ask, some, hours))}")
    plans = Plans(store)
    store._readers.drop()
    print("partitions that were read, by EXPLAIN ANALYZE:")
    for what, ask in asked.items():
        for span, hours in SPANS.items():
            await ask(checks[0][0], hours)
            print(f"  {what}, {span}: {', '.join(sorted(plans.read()))}")


async def through_the_api(
    month: Month, dsn: str, checks: list[tuple[str, str]], directory: Path
) -> dict[str, list[float]]:
    """The same over HTTP; the times of charts by their span."""
    config = ["[sources.docker]\nenabled = false", '[database]\nretention = "400d"']
    for target, check in checks:
        kind = "container" if check == "docker" else "service"
        config.append(
            f'[targets.{target}]\nkind = "{kind}"\n[targets.{target}.checks.{check}]\n'
            'probe = "heartbeat"\nperiod = "60d"'
        )
    found: dict[str, list[float]] = {}
    with Running(directory, "\n".join(config), {"DATABASE_URL": dsn}) as running:
        running.until(lambda: running.ask("/api/v1/alerts/frequency")[0] == 200, 120)
        until = quote(month.until.isoformat())
        headers = {"Authorization": f"Bearer {running.token()}"}
        async with aiohttp.ClientSession(running.url, headers=headers) as session:
            for what, path in {
                "chart": "/api/v1/metrics/history?target={target}&points=300",
                "uptime, 100 targets": "/api/v1/uptime?limit=100",
                "uptime of all": "/api/v1/uptime?limit=1000",
                "trends": "/api/v1/trends?metric=cpu_percent",
                "alert frequency": "/api/v1/alerts/frequency",
            }.items():

                async def ask(target: str, hours: float, path: str = path) -> object:
                    joint = "&" if "?" in path else "?"
                    url = f"{path.format(target=target)}{joint}hours={hours:g}&until={until}"
                    async with session.get(url) as answer:
                        body = await answer.read()
                        assert answer.status == 200, body
                    return body

                for place, (span, hours) in enumerate(SPANS.items()):
                    some = [target for target, _ in checks[place * ROUNDS + 7 :: 41]][:ROUNDS]
                    times = await timed(ask, some, hours)
                    print(f"API, {what}, {span}: {told(times)}")
                    found.setdefault(what, []).extend(times if span == "30 d" else [])
        running.stop()
    return found


async def rolling_up(month: Month, dsn: str) -> None:
    """What the last minute and the last hour cost when they are rolled up (once more)."""
    connection = await months.open_database(dsn)
    for what, back in (("a minute", timedelta(minutes=1)), ("an hour", timedelta(hours=1))):
        times = []
        for _ in range(5):
            await mark_late(connection, month.until - back)
            begun = time.perf_counter()
            await roll_up(connection, month.until + LAG)
            times.append(time.perf_counter() - begun)
        print(f"roll-up of {what}: {told(times)}")
        line(f"roll-up of {what}", "-", told(times), holds=None)
    line("roll-up of a day", "-", f"{month.day_seconds:.0f} s, as it was loaded", holds=None)
    await connection.close()


async def to_disk(connection: asyncpg.Connection[asyncpg.Record], day: str) -> None:
    """Write a day's partitions and take them out of the system's cache: in real life, a day of a
    month ago lies on disk and nowhere else."""
    await connection.execute("CHECKPOINT")
    rows = await connection.fetch(
        "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(oid) AS path "
        "FROM pg_class WHERE relkind IN ('r', 'i') AND relname ~ ('_' || $1::text)", day,
    )  # fmt: skip
    uncache([row["path"] for row in rows])


def uncache(names: list[str]) -> None:
    """Take files, and others whose names begin so, out of the system's cache."""
    for path in (path for name in names for path in Path("/").glob(name[1:] + "*")):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def retention(month: Month, dsn: str) -> None:
    """Put a day before the month, and have housekeeping drop it."""
    connection = await months.open_database(dsn)
    oldest = (month.until - month.days * DAY).replace(hour=0, minute=0)
    clock, trust = SettableClock(month.until), ClockTrust()
    await tidy(connection, clock, trust, 400 * DAY, 400 * DAY, full=False)
    size = "SELECT pg_database_size(current_database())"
    before = await connection.fetchval(size)
    source = (month.until - DAY).replace(hour=0, minute=0)
    daily = {table: columns for table, columns in months.COPIED.items() if table in DAILY}
    await months.copy(connection, source, source + DAY, source - oldest + DAY, daily)
    await to_disk(connection, f"{oldest - DAY:%Y%m%d}")
    full = await connection.fetchval(size)
    kept = month.until - oldest
    begun = time.perf_counter()
    await tidy(connection, clock, trust, kept, kept, full=True)
    took = time.perf_counter() - begun
    left = await connection.fetchval(size) - before
    line(
        f"retention of a day at {month.targets} targets", "<= 1 s, no bloat",
        f"{took:.2f} s; {(full - before) / 1e6:,.0f} MB were freed but for {left / 1e6:.1f} MB",
        holds=took <= RETENTION_BOUND and left < (full - before) / 50,
    )  # fmt: skip
    await connection.close()


async def sizes(month: Month, dsn: str) -> None:
    """Bytes on disk for each sample, by table, indexes included."""
    connection = await months.open_database(dsn)
    rows = await connection.fetch(
        "SELECT p.relname, sum(pg_total_relation_size(i.inhrelid))::bigint AS size "
        "FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent WHERE p.relkind = 'p' "
        "GROUP BY 1 ORDER BY 2 DESC"
    )
    for row in rows:
        each = row["size"] / month.samples
        print(
            f"{row['relname']:20s} {row['size'] / 1e9:7.2f} GB, {each:6.1f} bytes for each sample"
        )
    total = sum(row["size"] for row in rows)
    raw = sum(r["size"] for r in rows if r["relname"] in ("check_results", "container_metrics"))
    line(
        "size on disk of a sample", "-",
        f"{raw / month.samples:.0f} bytes raw, {total / month.samples:.0f} with roll-ups of a "
        f"minute, an hour and a day ({total / 1e9:.1f} GB)", holds=None,
    )  # fmt: skip
    await connection.close()


async def measure(place: Path, targets: int, days: int, raw_days: int) -> None:
    """Load or take up the month, then measure."""
    server = EmbeddedPostgres()
    dsn = await server.start(place / "pg")
    try:
        connection = await months.open_database(dsn)
        await migrate(connection)
        await connection.close()
        month = await months.found(dsn) or await months.load(dsn, targets, days, raw_days, print)
        print(
            f"{machine()}; {month.targets} targets, a sample every 30 s; hours and days of "
            f"{month.days} days, raw results and minutes of {month.raw_days}: {month.samples:,} "
            f"samples, {month.rows:,} raw rows, the last at {month.until:%Y-%m-%d %H:%M}"
        )
        await sizes(month, dsn)
        connection = await months.open_database(dsn)
        rows = await connection.fetch(
            "SELECT target, name FROM checks WHERE id <= $1", month.targets
        )
        await connection.close()
        checks = sorted((row["target"], row["name"]) for row in rows)
        store = Store(dsn, place / "spool", clock=Then(month.until), retention=400 * 86400.0)
        await store.start()
        await store.flush()
        await through_the_store(month, store, checks)
        await store.close()
        with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as directory:
            charts = (await through_the_api(month, dsn, checks, Path(directory)))["chart"]
        line(
            f"30-day chart of one target among {month.targets}",
            f"<= {CHART_BOUND * 1000:.0f} ms",
            f"{told(charts)} through the API",
            holds=max(charts) <= CHART_BOUND,
        )
        await rolling_up(month, dsn)
        await retention(month, dsn)
    finally:
        await server.stop()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--targets", type=int, default=1000)
    options.add_argument("--days", type=int, default=30)
    options.add_argument("--raw-days", type=int, help="days with raw results, where disk is short")
    options.add_argument("--keep", type=Path, metavar="DIR", help="keep, or reuse, the month there")
    options.add_argument("--quick", action="store_true", help="100 targets, 3 days")
    given = options.parse_args()
    targets, days = (100, 3) if given.quick else (given.targets, given.days)
    place = given.keep or Path(tempfile.mkdtemp(prefix="tocsin-month-", dir="/var/tmp"))
    try:
        asyncio.run(measure(place, targets, days, given.raw_days or days))
    finally:
        if given.keep is None:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
