"""The database goes away. Alerts, checks and the journal must not notice; history waits."""

from __future__ import annotations

import asyncio
import urllib.request
from contextlib import ExitStack

import asyncpg
import psutil

from tests.faults import evidence as gather
from tests.faults.fault import Fault
from tests.faults.owed import FIRED, OWN_RULES
from tests.faults.world import World

MORE = 150
"""More targets, so that results fill a small spool in seconds."""


class PostgresStopped(Fault):
    """PostgreSQL is shut down cleanly, and started again."""

    name = "postgres-stopped"

    def inject(self, world: World) -> None:
        asyncio.run(world.postgres.stop())

    def heal(self, world: World) -> None:
        asyncio.run(world.postgres.start())


class PostgresFrozen(Fault):
    """PostgreSQL and all its processes are frozen: connections stay open, but nothing answers."""

    name = "postgres-frozen"

    def inject(self, world: World) -> None:
        world.postgres.freeze()

    def heal(self, world: World) -> None:
        world.postgres.thaw()


class PostgresKilled(Fault):
    """PostgreSQL is killed with SIGKILL, and started again on the data that it left."""

    name = "postgres-killed"

    def inject(self, world: World) -> None:
        processes = [postmaster := psutil.Process(world.postgres.pid)]
        processes += postmaster.children(recursive=True)
        world.postgres.kill()
        psutil.wait_procs(processes, timeout=20)

    def heal(self, world: World) -> None:
        asyncio.run(world.postgres.start())


class SmallSpool(PostgresStopped):
    """PostgreSQL is stopped, and the spool can hold only a few seconds of history; later tocsin,
    which reports how much it has dropped, is stopped and started."""

    name = "small-spool"

    def config(self, world: World) -> str:
        # Results of others fill it; there is room for the alerts.
        size = 64 + 4 * round(world.script.seconds)
        return f'{super().config(world)}[database]\nspool_size = "{size}KiB"\n' + "".join(
            f'[targets.more{n}.checks.tcp]\nprobe = "tcp"\nhost = "127.0.0.1"\n'
            f"port = {world.targets.port}\n"
            for n in range(MORE)
        )

    def heal(self, world: World) -> None:
        super().heal(world)
        world.running.reach()
        world.running.until(lambda: _waiting(world) == 0)
        world.dropped = int(_metric(world, "tocsin_history_rows_dropped_total"))
        said = world.running.get("/health")["components"]["database"]["message"]
        if not world.dropped or f"{world.dropped} rows were dropped" not in said:
            world.deaths.append(f"{world.dropped} rows were dropped, and /health says: {said!r}")
        told = {
            notice.target
            for delivery in gather.so_far(world).deliveries
            for notice in delivery.notices
            if notice.kind == FIRED and notice.rule not in OWN_RULES and delivery.accepted
        }
        for target in sorted(told - asyncio.run(_alerted(world.dsn))):
            world.deaths.append(f"history has no alert of {target}, which was told")
        world.stop()  # for an hour it would say that something was dropped
        world.restart()


def _metric(world: World, name: str) -> float:
    request = urllib.request.Request(
        f"{world.running.url}/metrics", headers={"Authorization": f"Bearer {world.running.token()}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def _waiting(world: World) -> float:
    return _metric(world, "tocsin_history_spool_bytes")


async def _alerted(dsn: str) -> set[str]:
    """The targets of which history has an alert."""
    db = await asyncpg.connect(dsn, server_settings={"search_path": "tocsin"})
    try:
        rows = await db.fetch("SELECT DISTINCT container_name FROM system_alerts")
    finally:
        await db.close()
    return {row["container_name"] for row in rows}


class PostgresAwayFirst(Fault):
    """PostgreSQL is stopped or frozen before tocsin's very first start, and becomes available
    later."""

    name = "postgres-away-first"
    from_start = True

    def prepare(self, world: World, stack: ExitStack) -> None:
        self._frozen = world.script.seed % 2 == 1

    def inject(self, world: World) -> None:
        if self._frozen:
            world.postgres.freeze()
        else:
            asyncio.run(world.postgres.stop())

    def heal(self, world: World) -> None:
        if self._frozen:
            world.postgres.thaw()
        else:
            asyncio.run(world.postgres.start())
