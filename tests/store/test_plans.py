"""The plans of history queries: only the partitions and resolutions that they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.store.helpers import container, make, seen
from tests.store.plans import Plans
from tocsin.core.contracts.model import Event
from tocsin.core.monitor.replay import ACTIONS
from tocsin.plugins.history.partitions import ensure
from tocsin.plugins.history.rollup import _MINUTES, roll_up
from tocsin.plugins.history.store import Store
from tocsin.testing import SettableClock

CHECKS = [("web", "http"), ("db", "docker")]
DAYS = 40  # so that monthly partitions can be told apart, too


class Month(Plans):
    """Some weeks of history, and the plans of what is asked of it."""

    def __init__(self, store: Store, clock: SettableClock) -> None:
        super().__init__(store)
        self.store = store
        self.now = clock.now()


def daily(table: str, since: datetime, until: datetime) -> set[str]:
    """The daily partitions of a table that hold a stretch of time."""
    days = (until - since).days + 2
    moments = [min(since + timedelta(days=n), until) for n in range(days)]
    return {f"{table}_{at:%Y%m%d}" for at in moments}


@pytest.fixture(scope="module")
def filled(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A database with a sample of two checks every two hours for weeks, rolled up but for the last
    two hours; and the clock as it stands then."""
    name, clock = "month_of_plans", SettableClock()

    async def fill(dsn: str) -> None:
        admin = await asyncpg.connect(postgres)
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
        store = make(dsn, tmp_path_factory.mktemp("fill"), clock, retention=400 * 86400)
        await store.flush()
        for _ in range(DAYS * 12):
            clock.advance(7200)
            store.add(seen(clock, latency=0.1, metrics={"queue": 3.0}))
            store.add(container(clock))
            store.add(Event(target="db", source="docker", action="start", at=clock.now()))
        clock.advance(1)
        await store.flush()
        async with store._keeper.use(60) as connection:
            await roll_up(connection, clock.now() - timedelta(hours=2))
        await store.close()

    dsn = postgres.replace("/postgres?", f"/{name}?")
    asyncio.run(fill(dsn))
    return dsn, clock


@pytest.fixture
async def month(filled: tuple[str, Any], tmp_path: Path) -> AsyncIterator[Month]:
    """The weeks of history, opened anew."""
    dsn, clock = filled
    store = make(dsn, tmp_path, clock, retention=400 * 86400)
    await store.flush()
    yield Month(store, clock)
    await store.close()


async def test_a_chart_of_a_day_reads_minutes_and_a_raw_rest(month: Month) -> None:
    """24 hours: minutes of two days, raw results of the day that is not rolled up yet; no hours, no
    other day."""
    since = month.now - timedelta(hours=24)
    chart = await month.store.chart("db", "docker", since, month.now)
    assert chart.resolution == "1m"
    rest = month.now - timedelta(hours=2)
    assert month.read() == (
        daily("check_rollup_1m", since, month.now)
        | daily("check_results", rest, month.now)
        | daily("container_metrics", rest, month.now)
    )


@pytest.mark.parametrize(("days", "points"), [(7, 300), (30, 300), (39, 300)])
async def test_a_chart_of_weeks_reads_hours(month: Month, days: int, points: int) -> None:
    """7 and 30 days: hours of the months in question, and of today what is newer."""
    since = month.now - timedelta(days=days)
    chart = await month.store.chart("db", "docker", since, month.now, points)
    assert (chart.resolution, len(chart.points) > days) == ("1h", True)
    rest = month.now - timedelta(hours=2)
    months = {f"check_rollup_1h_{at:%Y%m}" for at in (since, month.now)}
    fine = {name for name in month.read() if not name.startswith("check_rollup_1h")}
    assert fine <= (
        daily("check_rollup_1m", rest, month.now)
        | daily("check_results", rest, month.now)
        | daily("container_metrics", rest, month.now)
    )
    await month.store.chart("db", "docker", since, month.now, points)
    assert {name for name in month.read() if name not in fine} == months


async def test_a_chart_of_the_past_reads_nothing_newer(month: Month) -> None:
    """A day of last month, and five minutes of it: one month's hours, one day's results."""
    since = datetime(2026, 1, 20, tzinfo=UTC)
    chart = await month.store.chart("web", "http", since, since + timedelta(days=7), 100)
    assert (chart.resolution, month.read()) == ("1h", {"check_rollup_1h_202601"})
    chart = await month.store.chart("web", "http", since, since + timedelta(minutes=90), 300)
    assert (chart.resolution, month.read()) == (
        "raw", {"check_results_20260120", "container_metrics_20260120"},
    )  # fmt: skip


async def test_everybodys_uptime_reads_days(month: Month) -> None:
    """30 days of all targets: the days, then of today hours, minutes and raw results."""
    since = month.now - timedelta(days=30)
    found = await month.store.uptimes(CHECKS, since, month.now, 48)
    assert (found.resolution, len(found.counts)) == ("1d", 2)
    rest = month.now - timedelta(hours=2)
    today = month.now.replace(hour=0)
    assert month.read() == (
        {f"check_rollup_1d_{at:%Y%m}" for at in (since, month.now)}
        | {f"check_rollup_1h_{today:%Y%m}"}
        | daily("check_rollup_1m", rest, rest)
        | daily("check_results", rest, month.now)
    )


async def test_trends_read_few_coarse_rows_of_everybody(month: Month) -> None:
    """A day: the leaders are told from hours, and their points come from minutes of the same
    days."""
    since = month.now - timedelta(hours=24)
    found = await month.store.trends(CHECKS, "cpu_percent", since, month.now, top=1, points=100)
    assert (found.resolution, [trend.target for trend in found.items]) == ("1m", ["db"])
    rest = month.now - timedelta(hours=2)
    assert month.read() == (
        {f"check_rollup_1h_{month.now:%Y%m}"}
        | daily("check_rollup_1m", since, month.now)
        | daily("check_results", rest, month.now)
        | daily("container_metrics", rest, month.now)
    )


async def test_raw_results_and_a_replay_read_their_days(month: Month) -> None:
    """Results of a check, and all results for a replay, come from the days asked for."""
    since = datetime(2026, 1, 20, 12, tzinfo=UTC)
    until = since + timedelta(hours=20)
    assert len(await month.store.results("db", "docker", since, until, 100)) == 10
    wanted = daily("check_results", since, until) | daily("container_metrics", since, until)
    assert month.read() == wanted
    hours = [len(rows) async for rows in month.store.past(since, until, ACTIONS)]
    assert hours == [3, 0] * 10  # two results and an event every other hour
    assert month.read() == wanted | daily("container_events", since, until)
    assert len(await month.store.events("db", since, until, 100)) == 10
    assert month.read() == daily("container_events", since, until)


async def test_the_last_minutes_are_found_by_their_time(database: str, tmp_path: Path) -> None:
    """What rolls up a minute of a day with many results does not read the whole day."""
    store = make(database, tmp_path, SettableClock())
    await store.flush()
    async with store._keeper.use(60) as connection:
        day = datetime(2026, 1, 15, tzinfo=UTC)
        await ensure(connection, {day.date()})
        for table, columns in (
            ("check_results", "check_id, at, status"),
            ("container_metrics", "check_id, timestamp, container_name, status"),
        ):
            await connection.execute(
                f"INSERT INTO {table} ({columns}) "
                "SELECT n % 2000, $1::timestamptz + n * interval '0.5 s', "
                + ("0" if table == "check_results" else "'web' || n % 2000, 'running'")
                + " FROM generate_series(0, 172799) AS n",
                day,
            )
            await connection.execute(f"ANALYZE {table}")
        noon = day + timedelta(hours=12)
        text = await connection.fetchval(
            "EXPLAIN (FORMAT JSON) " + _MINUTES, noon, noon + timedelta(minutes=1)
        )
    for index in ("check_results_20260115_at_idx", "container_metrics_20260115_timestamp_idx"):
        assert f'"Index Name": "{index}"' in text
    await store.close()
