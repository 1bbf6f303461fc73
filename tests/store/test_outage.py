"""The store while its PostgreSQL is stopped, frozen, killed or slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import eventually
from tests.store.conftest import Server
from tests.store.helpers import make, rows
from tocsin.core.clock import SystemClock
from tocsin.core.contracts.model import Health, Observation, Result
from tocsin.history import HistoryUnavailable
from tocsin.plugins.history import charts
from tocsin.plugins.history import store as store_module
from tocsin.plugins.history import writer as writer_module
from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.ingest import Ingest
from tocsin.plugins.history.store import Store
from tocsin.testing import SettableClock

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines and pauses of outages, shortened."""
    monkeypatch.setattr(writer_module, "WRITE_DEADLINE", 0.7)
    monkeypatch.setattr(writer_module, "BATCH_SECONDS", 0.05)
    monkeypatch.setattr(writer_module, "RETRY", (0.05, 0.2))
    monkeypatch.setattr(store_module, "READ_DEADLINE", 0.7)
    monkeypatch.setattr(store_module, "TIDY_DEADLINE", 2.0)  # a whole round, on a busy machine


class Stream:
    """Writes numbered samples as time goes by, as checks do."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        self.longest_pause = 0.0
        self._store = store

    async def run(self) -> None:
        clock = SystemClock()
        while True:
            result = Result.up(str(self.count))
            self._store.add(Observation(target="web", check="http", at=clock.now(), result=result))
            self.count += 1
            await asyncio.sleep(0.005)


@asynccontextmanager
async def streaming(store: Store) -> AsyncIterator[Stream]:
    """A stream that runs for the length of the block."""
    stream = Stream(store)
    task = asyncio.create_task(stream.run())
    try:
        yield stream
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def more(stream: Stream, count: int) -> None:
    """Wait for so many more samples: checks go on whatever the database does."""
    goal = stream.count + count
    await eventually(lambda: stream.count >= goal)


async def assert_complete(dsn: str, count: int) -> None:
    """Each of ``count`` samples is there, once, in the order it was made."""
    found = await rows(dsn, "SELECT message FROM check_results ORDER BY at")
    assert [row["message"] for row in found] == [str(n) for n in range(count)]


async def query(store: Store) -> list[Any]:
    now = SystemClock().now()
    hour = timedelta(hours=1)
    return await store.results("web", "http", now - hour, now + hour, 10)


def caught_up(store: Store) -> bool:
    """Whether nothing waits any more."""
    return store.present().status is Health.OK and not len(store._spool)


@pytest.mark.parametrize("outage", ["stopped", "frozen", "killed"])
async def test_history_is_complete_after_an_outage(
    server: Server, tmp_path: Path, outage: str
) -> None:
    """Through a stop, a freeze or a SIGKILL of the server no sample is lost and none doubled;
    meanwhile health says degraded and queries are refused at once."""
    dsn = await server.start()
    store = Store(dsn, tmp_path / "spool", clock=SystemClock())
    await store.start()
    async with streaming(store) as stream:
        await eventually(lambda: store._writer.written > 50)
        if outage == "stopped":
            await server.stop()
        elif outage == "frozen":
            server.freeze()
        else:
            server.kill()
        await eventually(lambda: store.present().status is Health.DEGRADED)
        await more(stream, 200)
        await eventually(lambda: len(store._spool) > 2)
        with pytest.raises(HistoryUnavailable, match="history cannot be read now"):
            await query(store)
        server.thaw()
        assert await server.start() == dsn
        await eventually(lambda: caught_up(store))
        await more(stream, 50)
        await eventually(lambda: query(store))
    await store.close()
    await assert_complete(dsn, stream.count)


async def test_stopping_while_the_server_is_frozen_loses_nothing(
    server: Server, tmp_path: Path
) -> None:
    """A store that ends while the server is frozen ends in time; the next one writes the rest."""
    dsn = await server.start()
    store = Store(dsn, tmp_path / "spool", clock=SystemClock())
    await store.start()
    async with streaming(store) as stream:
        await eventually(lambda: store._writer.written > 20)
        server.freeze()
        await more(stream, 50)
    async with asyncio.timeout(20):
        await store.close()
    server.thaw()
    after = Store(dsn, tmp_path / "spool", clock=SystemClock())
    await after.start()
    await after.flush()
    await after.close()
    await assert_complete(dsn, stream.count)


async def test_housekeeping_on_a_frozen_server_gives_up(
    server: Server, tmp_path: Path, clock: SettableClock
) -> None:
    """A round of housekeeping that a freeze catches half-way ends at its deadline."""
    store = make(await server.start(), tmp_path, clock)
    await store.flush()
    await store.tidy()
    entered = asyncio.Event()

    async def frozen_midway(*_arguments: Any) -> None:
        server.freeze()
        entered.set()

    with pytest.MonkeyPatch.context() as patch:
        from tocsin.plugins.history import housekeeping

        patch.setattr(housekeeping, "ensure", frozen_midway)
        async with asyncio.timeout(20):
            with pytest.raises(TimeoutError):
                await store.tidy()
    assert entered.is_set()
    server.thaw()
    await eventually(lambda: free_lock(server))
    await store.tidy()
    await store.close()


async def free_lock(server: Server) -> bool:
    """Whether nobody holds the lock of housekeeping."""
    found = await rows(await server.start(), "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")
    return not found


async def test_a_server_that_dies_between_commit_and_answer(
    server: Server, tmp_path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was committed while its answer got lost is not written a second time."""
    dsn = await server.start()
    store = make(dsn, tmp_path, clock)
    await store.flush()
    original = Ingest.write

    async def cut(self: Ingest, connection: Connection, batch: Any) -> int:
        await original(self, connection, batch)
        monkeypatch.undo()
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle")

    monkeypatch.setattr(Ingest, "write", cut)
    store.add(Observation(target="web", check="http", at=clock.now(), result=Result.up("0")))
    await store._writer.turn()
    assert store.present().status is Health.DEGRADED
    assert len(store._spool) == 1
    await store.flush()
    await assert_complete(dsn, 1)
    await store.close()


async def test_a_cancelled_round_spools_its_batch(
    server: Server, tmp_path: Path, clock: SettableClock
) -> None:
    """A writer cancelled in the middle of a batch leaves the batch on disk."""
    dsn = await server.start()
    store = make(dsn, tmp_path, clock)
    await store.flush()
    server.freeze()
    store.add(Observation(target="web", check="http", at=clock.now(), result=Result.up("0")))
    turn = asyncio.create_task(store._writer.turn())
    await eventually(lambda: store._writer.waiting == 0)
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    assert turn.cancelled()
    assert len(store._spool) == 1
    server.thaw()
    await store.flush()
    await assert_complete(dsn, 1)
    await store.close()


async def test_a_slow_query_does_not_hold_up_writing(
    database: str, tmp_path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queries that sleep in the server end at their deadline; batches are written meanwhile."""
    store = make(database, tmp_path, clock)
    await store.flush()
    sleeping = 0

    async def sleep(connection: Connection, *_arguments: Any) -> None:
        nonlocal sleeping
        sleeping += 1
        await connection.execute("SELECT pg_sleep(60)")

    monkeypatch.setattr(charts, "check_number", sleep)
    queries = [asyncio.create_task(query(store)) for _ in range(6)]
    await eventually(lambda: sleeping)
    store.add(Observation(target="web", check="http", at=clock.now(), result=Result.up("0")))
    await store.flush()
    assert not any(task.done() for task in queries[:1])
    outcomes = await asyncio.gather(*queries, return_exceptions=True)
    assert all(isinstance(outcome, HistoryUnavailable) for outcome in outcomes)
    await assert_complete(database, 1)
    await store.close()


async def test_a_database_that_is_away_at_the_start_delays_nothing(
    server: Server, tmp_path: Path
) -> None:
    """The store starts without its server, and meets it later."""
    dsn = await server.start()
    await server.stop()
    store = Store(dsn, tmp_path / "spool", clock=SystemClock())
    await store.start()
    async with streaming(store) as stream:
        await eventually(lambda: store.present().status is Health.DEGRADED)
        await more(stream, 20)
        await server.start()
        await eventually(lambda: caught_up(store))
    await store.close()
    await assert_complete(dsn, stream.count)


async def test_an_idle_store_notices_that_its_server_is_gone(
    server: Server, tmp_path: Path, clock: SettableClock
) -> None:
    """With nothing to write, the server is still asked now and then whether it is there."""
    store = make(await server.start(), tmp_path, clock)
    await store.flush()
    await server.stop()
    await store._writer.turn()
    assert store.present().status is Health.OK
    clock.advance(60)
    await store._writer.turn()
    assert store.present().status is Health.DEGRADED
    await store.close()


async def test_a_database_that_lets_nobody_in_is_away(server: Server, tmp_path: Path) -> None:
    """Closed to connections for a while, by a word that is no code of an outage: history waits, and
    none of it is set aside as refused."""
    dsn = await server.start()
    admin = await asyncpg.connect(dsn)
    await admin.execute("CREATE DATABASE closed")
    store = Store(dsn.replace("/postgres?", "/closed?"), tmp_path / "spool", clock=SystemClock())
    await store.start()
    async with streaming(store) as stream:
        await eventually(lambda: store._writer.written > 20)
        await admin.execute("ALTER DATABASE closed ALLOW_CONNECTIONS false")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'closed'"
        )
        await eventually(lambda: "accepting connections" in store.present().message)
        await more(stream, 100)
        await admin.execute("ALTER DATABASE closed ALLOW_CONNECTIONS true")
        await eventually(lambda: caught_up(store))
    await store.flush()
    await assert_complete(dsn.replace("/postgres?", "/closed?"), stream.count)
    await store.close()
    await admin.close()
