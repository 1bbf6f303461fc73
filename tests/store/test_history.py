"""Roll-ups, retention and charts at their edges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.store.helpers import NOWHERE, container, counts, fill, make, rows, seen
from tocsin.core.contracts.model import ComponentHealth, Event, Health, Observation, Result, Status
from tocsin.core.contracts.rule import VerdictState
from tocsin.core.ids import new_id
from tocsin.core.lifecycle.self_monitoring import verdicts
from tocsin.history import Chart
from tocsin.plugins.history import rollup as rollup_module
from tocsin.plugins.history.batch import Batch, ResultRow
from tocsin.plugins.history.losses import LOSS_TOLD
from tocsin.plugins.history.spool import REJECTED_KEPT
from tocsin.plugins.history.store import Store
from tocsin.testing import SettableClock


def late(at: datetime, **fields: Any) -> Observation:
    """A sample of ``web/http`` that comes when its minute is rolled up already."""
    return Observation(target="web", check="http", at=at, result=Result.unknown("late", **fields))


def unknowns(history: Chart) -> int:
    """How many late samples a chart shows."""
    return sum(point.unknown for point in history.points)


class Between:
    """A connection that lets something happen between reading a window and saying so."""

    def __init__(self, connection: asyncpg.Connection, moment: datetime, happen: Any) -> None:
        self._connection = connection
        self._moment = moment
        self._happen = happen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, query: str, *arguments: Any) -> str:
        """Run a statement; after the minutes around the moment are rolled up, it happens, once."""
        done: str = await self._connection.execute(query, *arguments)
        if (
            "INSERT INTO check_rollup_1m" in query
            and arguments[0] <= self._moment < arguments[1]
            and self._happen is not None
        ):
            happen, self._happen = self._happen, None
            await happen()
        return done


async def test_late_data_that_comes_in_the_middle_of_a_roll_up(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """A late batch committed after its window was read and before the roll-up said so is seen by
    the next round."""
    store = make(database, tmp_path, clock)
    await store.flush()
    start = clock.now()
    await fill(store, clock, 90)

    moment = start + timedelta(minutes=5, seconds=7)

    async def happen() -> None:
        store.add(late(moment))
        await store.flush()

    connection = await asyncpg.connect(
        database, server_settings={"search_path": "tocsin", "timezone": "UTC"}
    )
    between: Any = Between(connection, moment, happen)
    await rollup_module.roll_up(between, clock.now())
    (row,) = await rows(database, "SELECT sum(unknown) AS n FROM check_rollup_1m")
    assert row["n"] == 0
    chart = await store.chart("web", "http", start, start + timedelta(hours=10))
    assert unknowns(chart) == 1  # the chart knows it is late, and reads raw data from there on
    await rollup_module.roll_up(connection, clock.now())
    for table in ("check_rollup_1m", "check_rollup_1h"):
        (row,) = await rows(database, f"SELECT sum(unknown) AS n FROM {table}")
        assert row["n"] == 1
    assert await rows(database, "SELECT * FROM rollup_late") == []
    await connection.close()
    await store.close()


async def test_rolling_up_again_changes_nothing(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Every resolution rolled up from the start once more has the same rows."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await fill(store, clock, 60 * 14)
    await store.tidy()
    tables = ("check_rollup_1m", "check_rollup_1h", "check_rollup_1d")
    query = "SELECT * FROM {} ORDER BY check_id, at"
    before = [await rows(database, query.format(table)) for table in tables]
    assert all(before)
    await rows(database, "UPDATE rollup_state SET done_until = '2026-01-15T00:00:00Z'")
    await store.tidy()
    assert [await rows(database, query.format(table)) for table in tables] == before
    await store.close()


async def test_data_older_than_the_first_roll_up(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """What an earlier process left in the spool days ago is rolled up too."""
    gone = make(NOWHERE, tmp_path, clock)
    start = clock.now()
    gone.add(late(start))
    await gone._writer.turn()
    clock.advance(3 * 86400)
    fresh = make(database, tmp_path / "fresh", clock)
    await fill(fresh, clock, 60)
    await fresh.tidy()
    store = make(database, tmp_path, clock)
    await store.flush()
    await store.tidy()
    for table in ("check_rollup_1m", "check_rollup_1h", "check_rollup_1d"):
        (row,) = await rows(database, f"SELECT sum(unknown) AS n FROM {table}")
        assert row["n"] == 1, table
    await store.close()
    await fresh.close()


async def test_nothing_is_dropped_before_it_is_rolled_up(
    database: str, tmp_path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While roll-ups do not advance, raw days stay past their retention."""
    from tocsin.plugins.history import housekeeping

    store = make(database, tmp_path, clock, retention=2 * 86400)
    await store.flush()
    await fill(store, clock, 10)
    await store.tidy()

    async def stuck(*_arguments: Any) -> None:
        return

    with monkeypatch.context() as patch:
        patch.setattr(housekeeping, "roll_up", stuck)
        clock.advance(10 * 86400)
        await store.tidy()
    assert len(await rows(database, "SELECT * FROM check_results")) == 40
    await store.tidy()
    assert len(await rows(database, "SELECT * FROM check_results")) == 0
    (row,) = await rows(database, "SELECT sum(up + down) AS n FROM check_rollup_1h")
    assert row["n"] == 40
    await store.close()


async def test_old_charts_are_read_from_what_is_left(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Ten minutes of a day whose raw data is gone come from minutes, or hours when those are."""
    store = make(database, tmp_path, clock, retention=2 * 86400, retention_minutes=5 * 86400)
    await store.flush()
    start = clock.now()
    await fill(store, clock, 10)
    span = (start, start + timedelta(minutes=10))
    assert (await store.chart("web", "http", *span)).resolution == "raw"
    for days, resolution in ((4, "1m"), (4, "1h")):
        clock.advance(days * 86400)
        await store.tidy()
        chart = await store.chart("web", "http", *span)
        assert chart.resolution == resolution
        assert sum(point.up + point.down for point in chart.points) == 20
    await store.close()


async def test_points_stay_where_they_are_as_time_goes_on(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Two charts of the last hours, asked for seconds apart, share their points' moments."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await fill(store, clock, 300)
    await store.tidy()
    charts = []
    for _ in range(2):
        now = clock.now()
        charts.append(await store.chart("web", "http", now - timedelta(hours=4), now, 60))
        clock.advance(17)
    first, second = ({point.at for point in chart.points} for chart in charts)
    assert len(first & second) >= 59
    await store.close()


async def test_uptime_leaves_the_unknown_out(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Of 6 up, 1 degraded, 1 down and 8 unknown results, 7 of 8 known ones are available."""
    store = make(database, tmp_path, clock)
    start = clock.now()
    for status, count in (
        (Status.UP, 6), (Status.DEGRADED, 1), (Status.DOWN, 1), (Status.UNKNOWN, 8),
    ):  # fmt: skip
        for _ in range(count):
            store.add(seen(clock, status))
            clock.advance(30)
    await store.flush()
    until = clock.now()
    assert await counts(store, "web", "http", start, until) == [6, 1, 1, 8]
    checks = [("web", "http", 30.0)]
    assert await store.availability(checks, start, until) == {"web": 7 / 8}
    assert await counts(store, "web", "none", start, until) == [0, 0, 0, 0]
    assert await store.availability([("web", "none", 30.0)], start, until) == {}
    await store.close()


async def test_an_unknown_container_sample_has_no_metrics(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """While the engine cannot be asked, container_metrics gets no row, check_results does."""
    store = make(database, tmp_path, clock)
    facts = container(clock).result.container
    store.add(
        Observation(target="db", check="docker", at=clock.now(),
                    result=Result.unknown("the engine is away", container=facts))
    )  # fmt: skip
    await store.flush()
    assert await rows(database, "SELECT * FROM container_metrics") == []
    (row,) = await rows(database, "SELECT status FROM check_results")
    assert row["status"] == 3
    await store.close()


async def test_events_are_paged_without_gap_or_double(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Pages of events whose times run against the order of their ids hold each event once."""
    store = make(database, tmp_path, clock)
    start = clock.now()
    for n in range(25):  # made in one order, happened in another, some at the same moment
        at = start - timedelta(seconds=(n * 7 % 25) // 2)
        store.add(Event(target="db", source="docker", action=f"a{n}", at=at))
    await store.flush()
    found: list[Event] = []
    before = None
    while True:
        since, until = start - timedelta(hours=1), start + timedelta(hours=1)
        page = await store.events(None, since, until, 4, before)
        if not page:
            break
        found += page
        before = page[-1].id
    assert sorted(event.action for event in found) == sorted(f"a{n}" for n in range(25))
    assert [event.at for event in found] == sorted((e.at for e in found), reverse=True)
    await store.close()


async def test_old_ids_of_batches_are_cleared_away(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Ids of batches are kept for a week and no longer."""
    store = make(database, tmp_path, clock)
    await fill(store, clock, 1)
    clock.advance(6 * 86400)
    await store.tidy()
    assert len(await rows(database, "SELECT * FROM ingest_batches")) == 1
    clock.advance(2 * 86400)
    await store.tidy()
    assert await rows(database, "SELECT * FROM ingest_batches") == []
    await store.close()


async def test_two_keep_house_in_turn(database: str, tmp_path: Path, clock: SettableClock) -> None:
    """Two tocsins on one database roll up at the same time without getting in each other's way."""
    stores = [make(database, tmp_path / str(n), clock) for n in range(2)]
    await fill(stores[0], clock, 120)
    await stores[1].flush()
    await asyncio.gather(*(store.tidy() for store in stores))
    (row,) = await rows(database, "SELECT sum(up + down) AS n FROM check_rollup_1h")
    assert row["n"] == 2 * 2 * 60
    for store in stores:
        await store.close()


@pytest.mark.parametrize(
    "damage", [lambda data: b"\xc1" + data[:10], lambda data: data.replace(b"\xa11", b"\xa1\xff")]
)
async def test_a_torn_file_of_the_spool_is_set_aside(
    database: str, tmp_path: Path, clock: SettableClock, damage: Callable[[bytes], bytes]
) -> None:
    """A file that the disk damaged does not keep the others from being written."""
    gone = make(NOWHERE, tmp_path, clock)
    for n in range(3):
        gone.add(seen(clock, message=str(n)))
        clock.advance(1)
        await gone._writer.turn()
    files = sorted((tmp_path / "spool").glob("*.batch"))
    whole = files[1].read_bytes()
    assert damage(whole) != whole
    files[1].write_bytes(damage(whole))
    (tmp_path / "spool" / "left.partial").write_bytes(b"half")
    store = make(database, tmp_path, clock)
    await store.flush()
    found = await rows(database, "SELECT message FROM check_results ORDER BY at")
    assert [row["message"] for row in found] == ["0", "2"]
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["rejected"]
    assert store.present().details["batches_rejected"] == 1
    await store.close()


async def test_what_is_set_aside_is_bounded(tmp_path: Path, clock: SettableClock) -> None:
    """Only the newest refused batches are kept."""
    store = make(NOWHERE, tmp_path, clock)
    for _ in range(REJECTED_KEPT + 5):
        await store._spool.reject(Batch(new_id()), "test")
    assert len(list(store._spool.aside.iterdir())) == REJECTED_KEPT
    assert store._spool.size == 0


async def test_a_disk_that_refuses_is_counted_and_survived(
    tmp_path: Path, clock: SettableClock
) -> None:
    """With database and disk away, rows are counted as dropped, and the writer goes on."""
    store: Store = make(NOWHERE, tmp_path, clock)
    (tmp_path / "spool").rmdir()
    (tmp_path / "spool").touch()
    store.add(seen(clock))
    await store._writer.turn()
    health = store.present()
    assert health.details["rows_dropped"] == 1
    assert health.status is Health.DEGRADED
    assert "except 1 rows that were dropped" in health.message
    (tmp_path / "spool").unlink()
    store.add(seen(clock))
    await store._writer.turn()
    assert store.present().details["rows_waiting"] == 1
    await store.close()


async def test_a_spool_without_a_place_does_not_keep_the_store_from_starting(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """The disk has no room for the spool's directory: the store starts, and history is written."""
    (tmp_path / "spool").touch()
    store = Store(database, tmp_path / "spool", clock=clock)
    await store.start()
    store.add(seen(clock))
    await store.flush()
    assert len(await rows(database, "SELECT * FROM check_results")) == 1
    await store.close()


@pytest.mark.parametrize("loss", ["set aside", "dropped"])
async def test_a_loss_is_told_for_an_hour_and_not_for_ever(
    database: str, tmp_path: Path, clock: SettableClock, loss: str
) -> None:
    """What was lost once does not hide the next trouble: an hour after the last loss the alert
    about tocsin itself clears; the counts stay."""
    store = make(database, tmp_path, clock)
    await store.flush()

    async def lose() -> None:
        if loss == "set aside":
            row = ResultRow("web", "http", clock.now(), 0, None, None, "{not json")
            assert await store._writer._try(Batch(new_id(), [row]))
        else:
            store.add(object())  # type: ignore[arg-type]

    def health() -> ComponentHealth:
        state = store.present()
        return ComponentHealth(status=state.status, message=state.message)

    def firing() -> bool:
        ((_, verdict),) = verdicts({"database": health()}, [], [])
        return verdict.state is VerdictState.FIRING

    assert not firing()
    await lose()
    assert firing()
    clock.advance(LOSS_TOLD - 1)
    assert firing()
    clock.advance(1)
    assert not firing()
    count = {"set aside": "batches_rejected", "dropped": "rows_dropped"}[loss]
    assert store.present().details[count] == 1
    await lose()
    assert firing()
    assert store.present().details[count] == 2
    await store.close()
