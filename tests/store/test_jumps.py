"""History while the wall clock is wrong: little of it goes, and charts go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.store.helpers import NOWHERE, fill, make, rows, seen
from tocsin.core.contracts.model import Event
from tocsin.plugins.history.store import Store
from tocsin.testing import SettableClock

DAY = 86400.0


@pytest.fixture
def database(empty_database: str) -> str:
    """Partitions are those that the test's own clock asks for."""
    return empty_database


async def days_of(database: str) -> list[str]:
    """The days of which there are raw results."""
    found = await rows(database, "SELECT DISTINCT at::date::text AS day FROM check_results")
    return sorted(row["day"] for row in found)


async def live(store: Store, clock: SettableClock, days: int) -> None:
    """So many days with a few samples and an event each, housekeeping included."""
    for _ in range(days):
        await fill(store, clock, 3)
        store.add(Event(target="db", source="docker", action="die", at=clock.now()))
        await store.flush()
        await store.tidy()
        clock.advance(DAY - 180)


async def points(store: Store, since: datetime, until: datetime, number: int = 300) -> int:
    """How many results a chart counts."""
    found = await store.chart("web", "http", since, until, number)
    return sum(p.up + p.down for p in found.points)


@pytest.mark.parametrize("written", [True, False])
async def test_a_start_with_the_clock_far_ahead_keeps_history(
    database: str, tmp_path: Path, clock: SettableClock, written: bool
) -> None:
    """A machine that boots forty days ahead for a minute loses nothing, whether or not something
    was written with the wrong time before the round of retention."""
    store = make(database, tmp_path, clock, retention=30 * DAY, retention_minutes=30 * DAY)
    await live(store, clock, 10)
    before = await days_of(database)
    clock.wall += timedelta(days=40)
    if written:
        store.add(seen(clock))
    await store.flush()
    await store.tidy()
    clock.wall -= timedelta(days=40)
    await store.tidy()
    after = [day for day in await days_of(database) if day in before]
    assert after == before
    for table in ("container_events", "check_rollup_1m", "container_metrics"):
        column = "timestamp" if table == "container_metrics" else "at"
        (row,) = await rows(
            database,
            f"SELECT count(DISTINCT {column}::date) AS days FROM {table} WHERE {column} < $1",
            clock.now(),
        )
        assert row["days"] == 10, table
    await store.close()


@pytest.mark.parametrize("written", [True, False])
async def test_a_process_that_starts_with_the_clock_ahead_drops_nothing_in_its_first_hour(
    database: str, tmp_path: Path, clock: SettableClock, written: bool
) -> None:  # fmt: skip
    """A new tocsin finds forty days without history before now: it says so, and drops nothing for
    an hour, however often it is started; then a day of each table at a time."""
    store = make(database, tmp_path, clock, retention=30 * DAY, retention_minutes=30 * DAY)
    await live(store, clock, 5)
    await store.close()
    before = await days_of(database)
    clock.wall += timedelta(days=40)
    with capture_logs() as told:
        for n in range(3):
            store = make(database, tmp_path / str(n), clock, retention=30 * DAY)
            if written:
                store.add(seen(clock))
            await store.flush()
            await store.tidy()
            clock.advance(3000)
            await store.tidy()
            assert [day for day in await days_of(database) if day in before] == before
            if n < 2:
                await store.close()
    assert any("no history is dropped for an hour" in line["event"] for line in told)
    clock.advance(700)
    await store.tidy()
    assert [day for day in await days_of(database) if day in before] == before[1:]
    await store.close()


async def test_history_is_dropped_by_the_clock_that_is_behind(
    database: str, tmp_path: Path
) -> None:
    """However long tocsin's own clock is ahead of the database's, history does not go by it, and
    the log says that they differ."""
    clock = SettableClock(datetime.now(UTC) - timedelta(days=5, hours=1))
    store = make(database, tmp_path, clock, retention=20 * DAY, retention_minutes=20 * DAY)
    await live(store, clock, 5)
    before = await days_of(database)
    clock.wall += timedelta(days=40)
    with capture_logs() as told:
        for _ in range(3):
            clock.advance(7200)
            await store.tidy()
    assert await days_of(database) == before
    assert any("clocks of tocsin and of the database differ" in line["event"] for line in told)
    await store.close()


async def test_what_waits_on_disk_is_not_too_old_for_a_wrong_clock(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """History spooled before a boot with the clock far ahead is written all the same, as long as
    its day is there."""
    store = make(database, tmp_path, clock, retention=30 * DAY)
    await fill(store, clock, 3)
    gone = make(NOWHERE, tmp_path / "gone", clock)
    gone.add(seen(clock, message="spooled"))
    await gone._writer.turn()
    clock.wall += timedelta(days=40)
    again = make(database, tmp_path / "gone", clock, retention=30 * DAY)
    await again.flush()
    found = await rows(database, "SELECT 1 FROM check_results WHERE message = 'spooled'")
    assert len(found) == 1
    assert again.present().details["rows_too_old"] == 0
    await again.close()
    await gone.close()
    await store.close()


async def test_a_shorter_retention_takes_effect_at_once(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """The next round after a retention was shortened drops all that is past it."""
    store = make(database, tmp_path, clock, retention=30 * DAY)
    await live(store, clock, 10)
    await fill(store, clock, 3)
    await store.close()
    shorter = make(database, tmp_path, clock, retention=2 * DAY, retention_minutes=3 * DAY)
    await shorter.flush()
    await shorter.tidy()
    now = clock.now()
    kept = [f"{now - timedelta(days=n):%Y-%m-%d}" for n in (2, 1, 0)]
    assert await days_of(database) == kept
    (row,) = await rows(database, "SELECT min(at)::date::text AS day FROM check_rollup_1m")
    assert row["day"] == f"{now - timedelta(days=3):%Y-%m-%d}"
    await shorter.close()


async def test_a_day_a_day_is_dropped_while_time_goes_on(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """In everyday life there is never more than the retention, and the day it begins on."""
    store = make(database, tmp_path, clock, retention=2 * DAY, retention_minutes=2 * DAY)
    for _ in range(6):
        await live(store, clock, 1)
        assert len(await days_of(database)) <= 3
    assert len(await days_of(database)) == 3
    await store.close()


async def test_after_a_long_pause_history_goes_a_day_at_a_time(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """tocsin was off for two months: what is past the retention is gone after as many rounds as it
    has days, and what came since stays."""
    store = make(database, tmp_path, clock, retention=30 * DAY)
    await live(store, clock, 4)
    clock.advance(60 * DAY)
    await fill(store, clock, 3)
    for left in (4, 3, 2, 1, 1):
        await store.tidy()
        assert len(await days_of(database)) == left
    await store.close()


async def test_charts_go_on_after_the_clock_was_a_day_ahead(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Roll-ups that ran ahead with the clock come back with it: what is seen afterwards is in the
    charts at once, and rolled up, also what came before the next round."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await fill(store, clock, 60)
    await store.tidy()
    clock.wall += timedelta(days=1)
    await store.tidy()
    clock.wall -= timedelta(days=1)
    start = clock.now()
    for n in range(3):
        for _ in range(20):  # as they come in real life: within seconds
            store.add(seen(clock))
            clock.advance(1)
            await store.flush()
        span = (start, clock.now() + timedelta(seconds=1))
        assert await points(store, *span, 1) == 20 * (n + 1), "before the round"
        await store.tidy()
        assert await points(store, *span, 1) == 20 * (n + 1), "after it"
        clock.advance(40)
    clock.advance(3600)
    await store.tidy()
    for table in ("check_rollup_1m", "check_rollup_1h"):
        (row,) = await rows(
            database, f"SELECT sum(up + down) AS n FROM {table} WHERE at >= $1",
            start.replace(minute=0) if table.endswith("1h") else start,
        )  # fmt: skip
        assert row["n"] == 60, table
    found = await rows(database, "SELECT 1 FROM rollup_state WHERE done_until > $1", clock.now())
    assert found == []
    await store.close()


async def test_an_idle_tocsin_does_not_stay_in_the_future(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """With nothing written since the clock is right again, no resolution claims to be complete up
    to a moment that is still to come."""
    store = make(database, tmp_path, clock)
    await fill(store, clock, 10)
    clock.wall += timedelta(days=3)
    await store.tidy()
    clock.wall -= timedelta(days=3)
    await store.tidy()
    found = await rows(database, "SELECT 1 FROM rollup_state WHERE done_until > $1", clock.now())
    assert found == []
    await store.close()
