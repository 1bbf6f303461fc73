"""The disk of the data directory is full."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, suppress

from tests.faults.fault import ROOT, Fault
from tests.faults.peers import HarnessError
from tests.faults.world import World


def mount_tmpfs(world: World, stack: ExitStack) -> None:
    """Put the data directory on a small disk of its own. Raises HarnessError."""
    world.data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(world.data)]
    if subprocess.run(mount, check=False).returncode != 0:
        raise HarnessError("a tmpfs cannot be mounted here")
    stack.callback(subprocess.run, ["umount", "-l", str(world.data)], check=True)


class DiskFull(Fault):
    """The journal's disk, a tmpfs, is filled to the last byte, and emptied again."""

    name = "disk-full"
    needs = frozenset({ROOT})

    def prepare(self, world: World, stack: ExitStack) -> None:
        mount_tmpfs(world, stack)

    def inject(self, world: World) -> None:
        with (world.data / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            for size in (65536, 512):
                with suppress(OSError):
                    while ballast.write(b"x" * size):
                        pass

    def heal(self, world: World) -> None:
        (world.data / "ballast").unlink()
