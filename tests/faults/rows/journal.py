"""The journal is damaged, vanishes, or cannot be written."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.fault import ROOT, Fault, Step
from tests.faults.rows.disk import mount_tmpfs
from tests.faults.world import World

PAGE = 4096


def _damage(journal: Path, how: str) -> None:
    size = journal.stat().st_size
    if how == "deleted":
        journal.unlink()
        return
    with journal.open("r+b") as file:
        if how in ("cut", "emptied"):
            file.truncate(size // PAGE // 2 * PAGE if how == "cut" else 0)
        elif how == "zeroed":
            file.seek(PAGE)
            file.write(bytes(size - PAGE))
        else:
            file.write(b"\xa5" * size)


class _Said(Fault):
    """What is wrong with the journal is said for as long as an alert of it takes to go out."""

    def config(self, world: World) -> str:
        return super().config(world) + '[rules.monitor_impaired]\nfor = "1s"\n'


class JournalDamaged(_Said):
    """tocsin is stopped, its journal is truncated, emptied, deleted or overwritten, and tocsin is
    started."""

    name = "journal-damaged"

    def steps(self, world: World) -> list[Step]:
        how = world.script.rng(self.name).choice(
            ("cut", "emptied", "deleted", "zeroed", "overwritten")
        )

        def damage() -> None:
            world.stop()
            _damage(world.data / "journal.db", how)
            world.restart()

        return [(0.4 * world.script.seconds, damage)]


class JournalVanished(_Said):
    """The journal's files are deleted or emptied while tocsin runs; later it is killed and started
    again."""

    name = "journal-vanished"

    def steps(self, world: World) -> list[Step]:
        rng = world.script.rng(self.name)
        emptied = rng.random() < 0.5

        def vanish() -> None:
            for file in sorted(world.data.glob("journal.db*")):
                if emptied and file.suffix == ".db":
                    file.write_bytes(b"")
                elif not emptied:
                    file.unlink()

        at = rng.uniform(0.1, 0.3) * world.script.seconds
        return [(at, vanish), (at + 3.5, world.kill), (at + 4, world.restart)]


class ReadOnly(Fault):
    """tocsin is stopped, and started on a data directory that has become read-only; later it is
    writable again."""

    name = "read-only"
    needs = frozenset({ROOT})

    def prepare(self, world: World, stack: ExitStack) -> None:
        mount_tmpfs(world.data, stack)

    def steps(self, world: World) -> list[Step]:
        def remount(how: str) -> None:
            command = ["mount", "-o", f"remount,{how}", str(world.data)]
            subprocess.run(command, check=True)

        def begin() -> None:
            world.stop()
            remount("ro")
            world.restart()

        def end() -> None:
            remount("rw")
            world.heals.append(time.monotonic())

        return [(0.2 * world.script.seconds, begin), (0.9 * world.script.seconds, end)]
