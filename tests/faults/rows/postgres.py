"""The database goes away. Alerts, checks and the journal must not notice; history waits."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import psutil

from tests.faults.fault import Fault
from tests.faults.world import World


class PostgresStopped(Fault):
    """PostgreSQL is stopped in order, and started again."""

    name = "postgres-stopped"

    def inject(self, world: World) -> None:
        asyncio.run(world.postgres.stop())

    def heal(self, world: World) -> None:
        asyncio.run(world.postgres.start())


class PostgresFrozen(Fault):
    """PostgreSQL and all its processes are frozen: connections stay open, nothing answers."""

    name = "postgres-frozen"

    def inject(self, world: World) -> None:
        world.postgres.freeze()

    def heal(self, world: World) -> None:
        world.postgres.thaw()


class PostgresKilled(Fault):
    """PostgreSQL is killed with SIGKILL, and started again on what it left."""

    name = "postgres-killed"

    def inject(self, world: World) -> None:
        processes = [postmaster := psutil.Process(world.postgres.pid)]
        processes += postmaster.children(recursive=True)
        world.postgres.kill()
        psutil.wait_procs(processes, timeout=20)

    def heal(self, world: World) -> None:
        asyncio.run(world.postgres.start())


class PostgresAwayFirst(Fault):
    """PostgreSQL is stopped, or frozen, before tocsin's very first start, and comes later."""

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
