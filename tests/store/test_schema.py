"""The schema, its migrations, partitions and what of the database's address may be told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.store.helpers import container, fill, make, rows, seen
from tocsin.core.contracts.model import Health, Status
from tocsin.history import Chart, HistoryUnavailable
from tocsin.plugins.history import migrate as migrate_module
from tocsin.plugins.history.migrate import MIGRATIONS, SCHEMA_VERSION
from tocsin.testing import SettableClock

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'tocsin' AND table_name !~ '_2\\d{5,7}$'
ORDER BY 1, 2
"""

INDEXES = """
SELECT tablename, indexdef FROM pg_indexes
WHERE schemaname = 'tocsin' AND tablename !~ '_2\\d{5,7}$' ORDER BY 1, 2
"""
ROLLUPS = ("check_rollup_1m", "check_rollup_1h", "check_rollup_1d")


@pytest.fixture
def database(empty_database: str) -> str:
    """The schema is made, and migrated, where tocsin has never been."""
    return empty_database


async def back_to_version_1(database: str) -> None:
    """Undo what the migrations did."""
    for table in ROLLUPS:
        for statement in (
            f"ALTER TABLE {table} ADD COLUMN metrics jsonb",
            f"UPDATE {table} AS r SET metrics = (SELECT jsonb_object_agg(names[k], "
            "jsonb_build_array(stats[k][1], stats[k][2], stats[k][3], stats[k][4])) "
            "FROM metric_sets AS s, generate_subscripts(names, 1) AS k WHERE s.id = r.metric_set)",
            f"ALTER TABLE {table} DROP COLUMN metric_set, DROP COLUMN stats",
        ):
            await rows(database, statement)
    for statement in (
        "DROP INDEX check_results_at, container_metrics_timestamp, check_rollup_1m_at, "
        "check_rollup_1h_at",
        "DROP TABLE metric_sets",
        "DROP TABLE rollup_late",
        "ALTER TABLE system_alerts DROP COLUMN flaps, DROP COLUMN revision, DROP COLUMN state",
        "DROP INDEX system_alerts_container",
        "ALTER TABLE notifications DROP COLUMN message_id, DROP COLUMN answer, "
        "DROP COLUMN revision",
        "DROP INDEX notifications_created",
        "ALTER TABLE silences DROP COLUMN maintenance",
        "DROP INDEX notifications_queued",
        "ALTER TABLE notifications DROP COLUMN state",
        "UPDATE schema_version SET version = 1",
    ):
        await rows(database, statement)


async def test_a_database_of_version_1_is_brought_up(
    postgres: str, database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """The migrations make of an older schema what schema.sql holds, keeping the data, roll-ups and
    their metrics among it; days to come get all indexes."""
    store = make(database, tmp_path, clock)
    await store.flush()
    start = clock.now()
    await fill(store, clock, 14 * 60)
    clock.advance(86400)
    store.add(seen(clock, Status.UNKNOWN))  # a roll-up without metrics
    await store.flush()
    clock.advance(86400)
    await store.tidy()

    async def charts() -> list[Chart]:
        spans = [timedelta(hours=hours) for hours in (3, 72, 24 * 60)]
        return [
            await store.chart(target, check, start, start + span, 60)
            for span in spans
            for target, check in (("web", "http"), ("db", "docker"))
        ]

    before, wanted = await charts(), [await rows(database, query) for query in (COLUMNS, INDEXES)]
    assert {chart.resolution for chart in before} == {"1m", "1h", "1d"}
    await back_to_version_1(database)
    other = make(database, tmp_path / "b", clock)
    await other.flush()
    assert [await rows(database, query) for query in (COLUMNS, INDEXES)] == wanted
    assert await charts() == before
    versions = await rows(database, "SELECT version FROM schema_version ORDER BY 1")
    assert [row["version"] for row in versions] == [1, *(number for number, _ in MIGRATIONS)]
    assert len(await rows(database, "SELECT * FROM check_results")) == 14 * 60 * 4 + 1
    await store.close()
    await other.close()


@pytest.mark.parametrize("metrics", [{}, {"queue": 3.0}])
async def test_an_empty_database_of_version_3_is_brought_up(
    database: str, tmp_path: Path, clock: SettableClock, metrics: dict[str, float]
) -> None:
    """From a later version on, only what is missing is done, and writing and rolling up work."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await back_to_version_1(database)
    await rows(database, "CREATE TABLE rollup_late (at timestamptz NOT NULL)")
    for statement in MIGRATIONS[1][1].split(";")[:-1]:
        await rows(database, statement)
    await rows(database, "UPDATE schema_version SET version = 3")
    other = make(database, tmp_path / "b", clock)
    start = clock.now()
    other.add(seen(clock, metrics=metrics))
    await other.flush()
    clock.advance(7200)
    await other.tidy()
    chart = await other.chart("web", "http", start, start + timedelta(days=7), 60)
    assert (chart.resolution, chart.points[0].up) == ("1h", 1)
    assert set(chart.points[0].metrics) == set(metrics)
    await store.close()
    await other.close()


async def test_migrations_of_many_at_once(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Five that meet a database of version 1 at once all succeed, and each step runs once."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await back_to_version_1(database)
    others = [make(database, tmp_path / str(n), clock) for n in range(5)]
    await asyncio.gather(*(other.flush() for other in others))
    found = await rows(database, "SELECT max(version), count(*) FROM schema_version")
    assert tuple(found[0]) == (SCHEMA_VERSION, SCHEMA_VERSION)
    for one in (store, *others):
        await one.close()


async def test_a_server_too_old_is_named(
    database: str, tmp_path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server older than what tocsin needs is refused with both versions."""
    monkeypatch.setattr(migrate_module, "OLDEST_SERVER", 99)
    store = make(database, tmp_path, clock)
    with pytest.raises(HistoryUnavailable, match="tocsin needs 99 or newer"):
        await store.flush()
    await store.close()


async def test_other_tables_of_the_database_are_left_alone(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """In a database with a table of the same name, both live side by side."""
    owner = await asyncpg.connect(database)
    await owner.execute("CREATE TABLE container_metrics (mine text)")
    store = make(database, tmp_path, clock)
    await fill(store, clock, 1)
    assert await owner.fetchval("SELECT count(*) FROM public.container_metrics") == 0
    assert await owner.fetchval("SELECT count(*) FROM tocsin.container_metrics") == 2
    await owner.close()
    await store.close()


async def test_a_long_reader_does_not_keep_new_days_from_being_made(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Partitions for new days are made while somebody's transaction reads the table."""
    store = make(database, tmp_path, clock)
    await fill(store, clock, 1)
    reader = await asyncpg.connect(database, server_settings={"search_path": "tocsin"})
    await reader.execute("BEGIN; SELECT count(*) FROM check_results")
    clock.advance(86400)
    await fill(store, clock, 1)
    await store.tidy(full=False)
    assert len(await rows(database, "SELECT * FROM check_results")) == 8
    await reader.close()
    await store.close()


async def test_days_are_made_ahead(database: str, tmp_path: Path, clock: SettableClock) -> None:
    """Housekeeping makes the partitions of today and the next days, and all tables have them."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await asyncio.gather(store.tidy(), store.tidy())
    found = await rows(database, "SELECT relname FROM pg_class WHERE relispartition")
    names = {row["relname"] for row in found}
    for table in ("check_results", "container_metrics", "check_rollup_1m", "container_events"):
        assert {f"{table}_2026011{day}" for day in (5, 6, 7)} <= names
    assert {"check_rollup_1h_202601", "check_rollup_1d_202601"} <= names
    await store.close()


async def test_late_rows_make_their_day_and_too_old_ones_are_counted(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """History of days ago is written while it is within the retention; older is counted away."""
    store = make(database, tmp_path, clock, retention=5 * 86400)
    early, now = clock.now() - timedelta(days=20), clock.now()
    clock.wall = early
    store.add(seen(clock, message="too old"))
    clock.wall = now - timedelta(days=3)
    store.add(seen(clock, message="late"))
    clock.wall = now
    await store.flush()
    (row,) = await rows(database, "SELECT message, tableoid::regclass::text FROM check_results")
    assert tuple(row) == ("late", "check_results_20260112")
    health = store.present()
    assert health.details["rows_too_old"] == 1
    assert health.details["rows_written"] == 1
    await store.close()


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:sec/ret@127.0.0.1:1/db",
        "postgresql://user:p@ss:secret@127.0.0.1:1/db",
        "postgresql://user:sec#ret@127.0.0.1:1/db",
        "postgresql://user:sec[ret@127.0.0.1:1/db",
        "postgresql://user:secret@127.0.0.1:1/db",
        "mysql://user:secret@127.0.0.1:1/db",
        "user:secret",
    ],
)
async def test_the_password_is_never_told(
    tmp_path: Path, clock: SettableClock, capfd: pytest.CaptureFixture[str], dsn: str
) -> None:
    """Neither errors, health nor logs repeat a piece of the DSN's password."""
    store = make(dsn, tmp_path, clock)
    store.add(seen(clock))
    with pytest.raises(HistoryUnavailable) as caught:
        await store.flush()
    with pytest.raises(HistoryUnavailable) as refused:
        await store.audit(1)
    told = f"{caught.value} {refused.value} {store.present()}"
    captured = capfd.readouterr()
    told += captured.out + captured.err
    assert "sec" not in told.replace("seconds", "")
    assert "ret" not in told.replace("retry", "")
    assert store.present().status is Health.DEGRADED
    await store.close()


PLANS = {
    "container_metrics": "SELECT container_name, timestamp, status, health_status, cpu_percent, "
    "memory_bytes, memory_percent, network_rx_bytes, network_tx_bytes, restart_count, "
    "uptime_seconds FROM container_metrics ORDER BY timestamp DESC",
    "system_alerts": "SELECT alert_type, severity, container_name, message, details, created_at, "
    "acknowledged_at, acknowledged_by, resolved_at, notification_sent FROM system_alerts",
}


async def test_the_plans_queries_work_in_the_database_it_names(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """By the bare names, over a connection that knows nothing of tocsin's schema; a second start
    leaves the views as they are."""
    for _ in range(2):
        store = make(database, tmp_path, clock)
        store.add(container(clock))
        await store.flush()
        await store.close()
        clock.advance(30)
    owner = await asyncpg.connect(database)
    found = {name: await owner.fetch(query) for name, query in PLANS.items()}
    await owner.close()
    assert [row["container_name"] for row in found["container_metrics"]] == ["db", "db"]
    assert found["system_alerts"] == []


@pytest.mark.parametrize("hindrance", ["theirs", "forbidden"])
async def test_where_no_view_may_be_history_goes_on(
    database: str, tmp_path: Path, clock: SettableClock, hindrance: str
) -> None:
    """A table of somebody else's by that name stays as it is, and a schema that tocsin may make
    nothing in, or that is not there, is let be."""
    owner = await asyncpg.connect(database)
    if hindrance == "theirs":
        await owner.execute("CREATE TABLE container_metrics (mine int)")
    else:
        await owner.execute("DROP SCHEMA public CASCADE")
    store = make(database, tmp_path, clock)
    store.add(container(clock))
    await store.flush()
    assert await owner.fetchval("SELECT count(*) FROM tocsin.container_metrics") == 1
    if hindrance == "theirs":
        assert await owner.fetchval("SELECT count(mine) FROM container_metrics") == 0
    await owner.close()
    await store.close()
