"""The database that comes along, in the data directory, has trouble of its own. Nothing of it is
deleted: in the end history is whole."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress

import psutil

from tests.faults.fault import ROOT, Fault
from tests.faults.rows.disk import fill, mount_tmpfs
from tests.faults.world import World
from tests.store.conftest import Server

HOW = ("killed", "full", "damaged", "another's", "read-only", "stale")
"""Of these the first two come while it runs, the others while tocsin is stopped."""


class EmbeddedTrouble(Fault):
    """The embedded PostgreSQL is killed, its disk is full, or it is started on a directory that is
    read-only, owned by another user, damaged, or has a stale postmaster.pid."""

    name = "embedded-trouble"
    needs = frozenset({ROOT})

    def env(self, world: World, who: str) -> Mapping[str, str]:
        return {"DATABASE_URL": ""} if who == "tocsin" else {}

    def prepare(self, world: World, stack: ExitStack) -> None:
        self.how = HOW[world.script.seed % len(HOW)]
        asyncio.run(world.postgres.stop())
        self.disk = world.directory / "disk"
        mount_tmpfs(self.disk, stack, "200m")
        world.data.mkdir()
        (world.data / "postgres").symlink_to(self.disk / "pg")
        world.postgres = Server(self.disk / "pg")
        self._control = self.disk / "pg/global/pg_control"
        stack.callback(self._end, world)

    def _end(self, world: World) -> None:
        with suppress(OSError, psutil.Error):
            psutil.Process(world.postgres.pid).kill()

    def stopped(self, world: World) -> None:
        world.dsn = asyncio.run(world.postgres.start())

    def inject(self, world: World) -> None:
        if self.how == "killed":
            world.postgres.kill()
        elif self.how == "full":
            fill(self.disk)
        else:
            world.stop()
            self._spoil()
            world.restart()

    def heal(self, world: World) -> None:
        if self.how == "full":
            (self.disk / "ballast").unlink()
        elif self.how == "another's":
            self._give("pgserver")
        elif self.how == "read-only":
            self._remount("rw")
        elif self.how == "damaged":
            self._control.write_bytes(self._kept)

    def _spoil(self) -> None:
        if self.how == "damaged":
            self._kept = self._control.read_bytes()
            self._control.write_bytes(b"\xa5" * len(self._kept))
        elif self.how == "another's":
            self._give("daemon")
        elif self.how == "read-only":
            self._remount("ro")
        else:
            pid = self.disk / "pg/postmaster.pid"
            pid.write_text(f"{os.getpid()}\n{self.disk}/pg\n1\n5432\n{self.disk}/pg\n")

    def _give(self, user: str) -> None:
        for path in (self.disk / "pg", *(self.disk / "pg").rglob("*")):
            shutil.chown(path, user, user)

    def _remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.disk)], check=True)
