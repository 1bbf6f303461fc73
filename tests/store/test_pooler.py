"""A real pgbouncer, as it is delivered, between tocsin and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import eventually, need
from tests.faults.relay import before_postgres
from tests.store.helpers import counts, make, rows, seen
from tocsin import Secret, Status, Target
from tocsin.plugins.probes.postgres_query import PostgresQueryProbe
from tocsin.testing import SettableClock

HOUR = timedelta(hours=1)
LIBPQ = "connect_timeout=3&channel_binding=prefer&keepalives=1&keepalives_idle=30&gssencmode=prefer"
"""What other clients of the same DSN want of libpq."""


@pytest.fixture(params=["session", "transaction"])
async def pooler(
    request: pytest.FixtureRequest, empty_database: str, tmp_path: Path
) -> AsyncIterator[str]:
    """The DSN of an empty database by way of pgbouncer, which knows a server by TCP only."""
    program = need("pgbouncer")
    parts = urlsplit(empty_database)
    server = before_postgres(empty_database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port} user=postgres\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n"
        f"pool_mode = {request.param}\n"
    )
    with config.open() as readable:  # by another user, too, wherever it lies
        process = await asyncio.create_subprocess_exec(
            program, "-q", "/dev/stdin", stdin=readable, stderr=asyncio.subprocess.DEVNULL,
            user="nobody" if os.geteuid() == 0 else None,
        )  # fmt: skip

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(answers)
    yield f"postgresql://postgres@127.0.0.1:{port}{parts.path}?{LIBPQ}"
    process.terminate()
    await process.wait()
    server.close()


async def test_a_check_asks_by_way_of_a_pooler(pooler: str) -> None:
    """A pooler that knows no settings of ours, and perhaps gives each transaction another server,
    is as good as the server; parameters of libpq's own are passed over; the statement timeout
    holds."""
    for _ in range(2):
        result = await PostgresQueryProbe(dsn=Secret(pooler), expect=1).check(Target(name="db"))
        assert (result.status, result.message) == (Status.UP, "the value is 1")
    asked = PostgresQueryProbe(
        dsn=Secret(pooler), timeout=7, query="SHOW statement_timeout", expect="7s"
    )
    assert (await asked.check(Target(name="db"))).status is Status.UP
    writes = PostgresQueryProbe(dsn=Secret(pooler), query="CREATE TABLE t (a int)")
    assert (await writes.check(Target(name="db"))).status is Status.UNKNOWN


@pytest.mark.parametrize("pooler", ["session"], indirect=True)
async def test_history_is_kept_by_way_of_a_pooler(
    pooler: str, empty_database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """The schema is made, results are written and read through a pooler in session mode."""
    store = make(pooler, tmp_path, clock)
    store.add(seen(clock, latency=0.5))
    await store.flush()
    assert len(await rows(empty_database, "SELECT status FROM check_results")) == 1
    since, until = clock.now() - HOUR, clock.now() + HOUR
    assert await counts(store, "web", "http", since, until) == [1, 0, 0, 0]
    await store.close()
