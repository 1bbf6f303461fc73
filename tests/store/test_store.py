"""The store against a real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.store.helpers import NOWHERE, container, counts, fill, make, rows, seen
from tocsin.core.contracts.model import (
    AuditEntry,
    Event,
    Health,
    Observation,
    Result,
    Status,
)
from tocsin.core.ids import new_id
from tocsin.history import AlertFilter, HistoryUnavailable
from tocsin.plugins.history.batch import Batch, ResultRow
from tocsin.plugins.history.charts import SAMPLES
from tocsin.plugins.history.resolution_plan import resolution_for
from tocsin.testing import SettableClock


async def test_everything_written_can_be_read(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Results, container metrics, events and audit rows come back as they were written."""
    store = make(database, tmp_path, clock)
    store.add(seen(clock, latency=0.25, message="200", metrics={"queue": 3.0}))
    store.add(container(clock))
    store.add(Event(target="db", source="docker", action="die", at=clock.now(),
                      attributes={"exitCode": "1"}))  # fmt: skip
    store.add(AuditEntry(actor="ann", role="admin", action="restart", subject="db",
                           at=clock.now()))  # fmt: skip
    await store.flush()
    since, until = clock.now() - timedelta(hours=1), clock.now() + timedelta(seconds=1)
    (sample,) = await store.results("web", "http", since, until, 10)
    result = sample.result
    assert (result.status, result.latency, result.message) == (Status.UP, 0.25, "200")
    assert result.metrics == {"queue": 3.0}
    history = await store.chart("db", None, since, until)
    assert history.points[0].metrics["cpu_percent"].avg == 5.0
    (event,) = await store.events("db", since, until, 10)
    assert (event.action, event.attributes) == ("die", {"exitCode": "1"})
    assert [entry.actor for entry in await store.audit(10)] == ["ann"]
    assert await store.alerts(AlertFilter(limit=10)) == []
    (row,) = await rows(database, "SELECT * FROM container_metrics")
    assert (row["container_name"], row["status"], row["health_status"]) == (
        "db", "running", "healthy",
    )  # fmt: skip
    assert row["uptime_seconds"] == 3600
    await store.close()


async def test_two_start_on_an_empty_database(
    empty_database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Two tocsins that meet an empty database at once both end up with a working schema."""
    stores = [make(empty_database, tmp_path / str(n), clock) for n in range(2)]
    for store in stores:
        store.add(seen(clock))
        clock.advance(1)
    await asyncio.gather(*(store.flush() for store in stores))
    assert len(await rows(empty_database, "SELECT * FROM check_results")) == 2
    assert len(await rows(empty_database, "SELECT * FROM schema_version")) == 1
    for store in stores:
        await store.close()


async def test_a_newer_schema_is_refused(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """A database made by a newer tocsin is left alone, and the reason is told."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await rows(database, "INSERT INTO schema_version (version) VALUES (99)")
    other = make(database, tmp_path / "b", clock)
    other.add(seen(clock))
    with pytest.raises(HistoryUnavailable, match="schema version 99"):
        await other.flush()
    await store.close()
    await other.close()


async def test_a_batch_whose_commit_was_not_answered_is_written_once(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Writing the same batch again, as after a lost answer to COMMIT, changes nothing."""
    store = make(database, tmp_path, clock)
    batch = Batch(new_id(), [ResultRow("web", "http", clock.now(), 0, 0.1, None, None)])
    assert await store._writer._try(batch)
    assert await store._writer._try(batch)
    assert len(await rows(database, "SELECT * FROM check_results")) == 1
    assert store.present().status is Health.OK
    await store.close()


async def test_a_poisonous_batch_blocks_nothing(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """A batch the database refuses for its content is set aside, kept, counted; others go on."""
    store = make(database, tmp_path, clock)
    await store.flush()
    bad = Batch(new_id(), [ResultRow("web", "http", clock.now(), 0, None, None, "{not json")])
    assert await store._writer._try(bad)
    store.add(seen(clock))
    await store.flush()
    assert len(await rows(database, "SELECT * FROM check_results")) == 1
    assert len(list((tmp_path / "spool" / "rejected").iterdir())) == 1
    assert store.present().status is Health.DEGRADED
    await store.close()


async def test_odd_values_are_made_fit(database: str, tmp_path: Path, clock: SettableClock) -> None:
    """NUL characters, lone surrogates, infinities and times that repeat do no harm."""
    store = make(database, tmp_path, clock)
    for _ in range(3):
        store.add(
            seen(clock, message="a\0b\ud800", latency=float("inf"),
                 metrics={"x": float("nan"), "y": 1.0})
        )  # fmt: skip
    await store.flush()
    found = await rows(database, "SELECT * FROM check_results")
    assert len(found) == 3
    assert found[0]["message"] == "ab?"
    assert store.present().details["batches_rejected"] == 0
    await store.close()


async def test_the_spool_is_bounded(tmp_path: Path, clock: SettableClock) -> None:
    """With the database away for long, the oldest history gives way, counted, newest stays."""
    store = make(NOWHERE, tmp_path, clock, spool_size=40_000)
    for _ in range(40):
        store.add(seen(clock, message="x" * 100))
        clock.advance(1)
        await store._writer.turn()
    health = store.present()
    assert health.status is Health.DEGRADED
    assert health.details["spool_bytes"] <= 40_000
    assert health.details["rows_dropped"] + health.details["rows_waiting"] == 40
    assert health.details["rows_dropped"] > 0
    with pytest.raises(HistoryUnavailable):
        await store.results("web", "http", clock.now(), clock.now(), 1)
    await store.close()


async def test_a_full_spool_drops_samples_alone(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Samples give way, the oldest first and counted; what people did, as alerts, is written when
    the database is there, whichever process dropped the samples. The newest samples stay."""
    for store in (make(NOWHERE, tmp_path, clock, spool_size=40_000) for _ in range(2)):
        for n in range(12):
            if n < 2:
                store.add(AuditEntry(actor=str(n), role="admin", action="restart", subject="db",
                                       at=clock.now()))  # fmt: skip
            store.add(seen(clock, message="x" * 500))
            clock.advance(1)
            await store._writer.turn()
        assert store.present().details["spool_bytes"] <= 40_000
        assert store.present().details["rows_dropped"] > 0
    after = make(database, tmp_path, clock)
    await after.flush()
    assert [
        row["actor"] for row in await rows(database, "SELECT actor FROM audit ORDER BY at")
    ] == [str(n) for n in (0, 1, 0, 1)]
    (kept,) = await rows(database, "SELECT count(*), min(at), max(at) FROM check_results")
    assert kept["count"] > 1
    assert kept["max"] == clock.now() - timedelta(seconds=1)
    assert kept["max"] - kept["min"] == timedelta(seconds=kept["count"] - 1)
    await after.close()


async def test_what_a_killed_process_left_in_the_spool_is_replayed(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Batches spooled by a process that is gone are written by the next one, oldest first."""
    gone = make(NOWHERE, tmp_path, clock)
    for n in range(5):
        gone.add(seen(clock, message=str(n)))
        clock.advance(30)
        await gone._writer.turn()
    store = make(database, tmp_path, clock)
    await store.flush()
    found = await rows(database, "SELECT message FROM check_results ORDER BY at")
    assert [row["message"] for row in found] == ["0", "1", "2", "3", "4"]
    assert list((tmp_path / "spool").glob("*.batch")) == []
    await store.close()


async def test_rollups_agree_with_raw_data(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Counts, minima, averages and maxima of every resolution equal those of the raw samples."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await fill(store, clock, 60 * 26)
    await store.tidy()
    (raw,) = await rows(
        database,
        "SELECT count(*) AS n, count(*) FILTER (WHERE status = 2) AS down, "
        "min(latency_seconds) AS low, avg(latency_seconds) AS mean, max(latency_seconds) AS high "
        "FROM check_results r JOIN checks c ON c.id = r.check_id WHERE c.target = 'web' "
        "AND at < (SELECT done_until FROM rollup_state WHERE resolution = '1h')",
    )
    for table in ("check_rollup_1m", "check_rollup_1h"):
        (rolled,) = await rows(
            database,
            "SELECT sum(up + down) AS n, sum(down) AS down, min(stats[k][2]) AS low, "
            "sum(stats[k][1] * stats[k][3]) / sum(stats[k][1]) AS mean, max(stats[k][4]) AS high "
            f"FROM {table} r JOIN checks c ON c.id = r.check_id "
            "JOIN (SELECT id, array_position(names, 'latency_seconds') AS k FROM metric_sets) s "
            "ON s.id = metric_set WHERE c.target = 'web' "
            "AND at < (SELECT done_until FROM rollup_state WHERE resolution = '1h')",
        )
        assert rolled["n"] == raw["n"]
        assert rolled["down"] == raw["down"]
        for name in ("low", "mean", "high"):
            assert rolled[name] == pytest.approx(raw[name], rel=1e-5)
    (days,) = await rows(database, "SELECT sum(up + down) AS n FROM check_rollup_1d")
    assert days["n"] == 2 * 12 * 60 * 2  # from noon to midnight, two checks, twice a minute
    await store.close()


async def test_late_data_is_rolled_up_again(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """History that arrives after its hour was rolled up shows in every resolution."""
    store = make(database, tmp_path, clock)
    await store.flush()
    start = clock.now()
    await fill(store, clock, 180)
    await store.tidy()
    late = Observation(
        target="web", check="http", at=start + timedelta(minutes=30, seconds=7),
        result=Result.unknown("late"),
    )  # fmt: skip
    store.add(late)
    await store.flush()
    await store.tidy()
    for table in ("check_rollup_1m", "check_rollup_1h"):
        (row,) = await rows(database, f"SELECT sum(unknown) AS n FROM {table}")
        assert row["n"] == 1
    await store.close()


async def test_history_joins_rollups_and_the_newest_raw_data(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """A day's chart counts every sample once, those not rolled up yet included."""
    store = make(database, tmp_path, clock)
    await store.flush()
    start = clock.now()
    await fill(store, clock, 60 * 20)
    await store.tidy()
    await fill(store, clock, 45)
    history = await store.chart("web", "http", start, start + timedelta(hours=24))
    assert history.resolution == "1m"
    total = sum(p.up + p.degraded + p.down + p.unknown for p in history.points)
    assert total == (60 * 20 + 45) * 2
    up, degraded, down, _ = await counts(store, "web", "http", start, start + timedelta(hours=24))
    assert up / (up + degraded + down) == pytest.approx(0.9)
    await store.close()


async def test_gaps_stay_gaps(database: str, tmp_path: Path, clock: SettableClock) -> None:
    """Where nothing was seen, the chart has no point."""
    store = make(database, tmp_path, clock)
    await store.flush()
    start = clock.now()
    await fill(store, clock, 10)
    clock.advance(3600)
    await fill(store, clock, 10)
    history = await store.chart("web", "http", start, clock.now(), 80)
    assert all(not (15 <= (p.at - start).total_seconds() / 60 < 65) for p in history.points)
    assert sum(p.up + p.down for p in history.points) == 40
    await store.close()


@pytest.mark.parametrize(
    ("span", "resolution"),
    [(timedelta(minutes=30), "raw"), (timedelta(hours=24), "1m"), (timedelta(days=7), "1h"),
     (timedelta(days=30), "1h"), (timedelta(days=365), "1d")],
)  # fmt: skip
def test_the_coarsest_resolution_that_fills_the_chart_is_read(
    span: timedelta, resolution: str
) -> None:
    """300 points of half an hour come from raw samples, of a day from minutes, of a month from
    hours."""
    until = datetime(2026, 1, 1, tzinfo=UTC)
    assert resolution_for(until - span, until, 300) == resolution


async def test_retention_drops_whole_days_after_roll_up(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Raw days past the retention go as partitions; their roll-ups stay and still answer."""
    store = make(database, tmp_path, clock, retention=2 * 86400)
    await store.flush()
    start = clock.now()
    await fill(store, clock, 60)
    await store.tidy()
    clock.advance(4 * 86400)
    await store.tidy()
    found = await rows(database, "SELECT relname FROM pg_class WHERE relname LIKE 'check_results%'")
    tables = {row["relname"] for row in found}
    assert "check_results_20260115" not in tables
    assert "check_results_20260119" in tables
    history = await store.chart("web", "http", start, start + timedelta(days=1))
    assert sum(p.up + p.down for p in history.points) == 120
    await store.close()


async def test_queries_read_only_the_days_they_need(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """The plan of a raw query names the partitions of its range and no others."""
    store = make(database, tmp_path, clock)
    await store.flush()
    for _ in range(4):
        await fill(store, clock, 2)
        clock.advance(86400)
    plan = await rows(
        database,
        "EXPLAIN " + SAMPLES.format(order="ASC"),
        1,
        datetime(2026, 1, 16, tzinfo=UTC),
        datetime(2026, 1, 17, tzinfo=UTC),
        None,
    )
    text = "\n".join(row[0] for row in plan)
    assert "check_results_20260116" in text
    for other in ("20260115", "20260117", "20260118"):
        assert other not in text
    await store.close()
