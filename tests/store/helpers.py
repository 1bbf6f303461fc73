"""What the tests of the store share."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from tocsin.core.contracts.container import Container, Reason
from tocsin.core.contracts.model import Observation, Result, Status
from tocsin.plugins.history.store import Store
from tocsin.testing import SettableClock

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
"""A DSN at which nothing listens."""


def make(database: str, path: Path, clock: SettableClock, **options: Any) -> Store:
    """A store that runs nothing by itself: the test says when."""
    store = Store(database, path / "spool", clock=clock, **options)
    store._spool.open()
    return store


def seen(clock: SettableClock, status: Status = Status.UP, **fields: Any) -> Observation:
    """A result of the check ``web/http``, now."""
    result = Result(status=status, **fields)
    return Observation(target="web", check="http", at=clock.now(), result=result)


def container(clock: SettableClock, cpu: float = 5.0, **fields: Any) -> Observation:
    """What a source saw of the container ``db``, now."""
    facts = Container(
        id="c1",
        image="busybox",
        reason=Reason.RUNNING,
        started_at=clock.now() - timedelta(hours=1),
        cpu_percent=cpu,
        memory_bytes=1000,
        **{"state": "running", "health": "healthy", **fields},
    )
    result = Result.up(container=facts)
    return Observation(target="db", check="docker", at=clock.now(), result=result)


async def counts(
    store: Store, target: str, check: str, since: datetime, until: datetime
) -> list[int]:
    """How many results of a check were up, degraded, down and unknown."""
    chart = await store.chart(target, check, since, until)
    words = ("up", "degraded", "down", "unknown")
    return [sum(getattr(point, word) for point in chart.points) for word in words]


async def rows(database: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
    """The answer to a query, over a connection of its own."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "tocsin"})
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def fill(store: Store, clock: SettableClock, minutes: int) -> None:
    """Two samples a minute of both checks; every tenth of ``web/http`` is down."""
    for n in range(minutes * 2):
        store.add(seen(clock, Status.DOWN if n % 10 == 0 else Status.UP, latency=n / 100))
        store.add(container(clock, cpu=float(n % 50)))
        clock.advance(30)
    await store.flush()
